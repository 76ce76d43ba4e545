//! What the samples say.

use serde_json::{Value, json};

use crate::measure::{Measured, Sample};

/// A median, with the lowest and the highest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self {
            median,
            lowest: values[0],
            highest: values[values.len() - 1],
        }
    }

    fn to_json(self) -> Value {
        json!({"median": rounded(self.median), "lowest": rounded(self.lowest), "highest": rounded(self.highest)})
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// All rows of a run.
pub(crate) struct Results(pub(crate) Vec<Measured>);

impl Results {
    pub(crate) fn find(&self, name: &str) -> Option<&Measured> {
        self.0.iter().find(|measured| measured.row.name == name)
    }

    /// CPU time of a request, in microseconds.
    pub(crate) fn cpu(&self, measured: &Measured) -> Spread {
        Spread::of(measured.samples.iter().map(|sample| sample.cpu))
    }

    pub(crate) fn rate(&self, measured: &Measured) -> Spread {
        Spread::of(measured.samples.iter().map(|sample| sample.rate))
    }

    /// What a row costs above the row without a filter, round by round.
    fn added(&self, measured: &Measured) -> Option<Vec<f64>> {
        let bare = self.find(measured.row.bare())?;
        Some(by_round(measured, bare, |row, bare| row.cpu - bare.cpu))
    }

    /// The same, over all rounds.
    pub(crate) fn added_cost(&self, measured: &Measured) -> Option<Spread> {
        self.added(measured).map(Spread::of)
    }

    /// All that a request of the one row costs, in requests of the other.
    pub(crate) fn whole_ratio(&self, row: &str, other: &str) -> Option<Spread> {
        let (row, other) = (self.find(row)?, self.find(other)?);
        Some(Spread::of(by_round(row, other, |row, other| {
            row.cpu / other.cpu
        })))
    }

    /// What a row cost in its best round. Other work on the machine only ever adds.
    pub(crate) fn lowest(&self, name: &str) -> Option<f64> {
        Some(self.cpu(self.find(name)?).lowest)
    }

    /// What a row costs above another one, in requests of a third.
    pub(crate) fn above_ratio(&self, row: &str, below: &str, unit: &str) -> Option<Spread> {
        let (row, below, unit) = (self.find(row)?, self.find(below)?, self.find(unit)?);
        let above = by_round(row, below, |row, below| row.cpu - below.cpu);
        let ratios = above
            .iter()
            .zip(&unit.samples)
            .map(|(above, unit)| above / unit.cpu);
        Some(Spread::of(ratios))
    }

    /// The added cost of the one row, in added costs of the other.
    pub(crate) fn added_ratio(&self, row: &str, other: &str) -> Option<Spread> {
        let (row, other) = (self.added(self.find(row)?)?, self.added(self.find(other)?)?);
        Some(Spread::of(
            row.iter().zip(&other).map(|(row, other)| row / other),
        ))
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.0.iter().map(|measured| {
            let row = &measured.row;
            let spread = |spread: Option<Spread>| spread.map(Spread::to_json);
            let beside = row.native.as_deref();
            json!({
                "name": row.name,
                "text": row.text,
                "protocol": format!("{:?}", row.protocol),
                "cookie_bytes": measured.cookie_bytes,
                "cpu_us": self.cpu(measured).to_json(),
                "requests_per_second": self.rate(measured).to_json(),
                "added_us": spread(self.added_cost(measured)),
                "ratio_to_bare": spread(self.whole_ratio(&row.name, row.bare())),
                "native": beside,
                "added_ratio_to_native": spread(beside.and_then(|it| self.added_ratio(&row.name, it))),
                "samples_cpu_us": measured.samples.iter().map(|it| rounded(it.cpu)).collect::<Vec<_>>(),
            })
        });
        rows.collect()
    }
}

fn by_round(row: &Measured, other: &Measured, of: impl Fn(&Sample, &Sample) -> f64) -> Vec<f64> {
    row.samples
        .iter()
        .zip(&other.samples)
        .map(|(row, other)| of(row, other))
        .collect()
}
