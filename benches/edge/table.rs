//! The table, for people.

use crate::result::{Results, Spread};

pub(crate) fn print(results: &Results, about: &[String]) {
    println!();
    for line in about {
        println!("{line}");
    }
    println!(
        "\n\
         CPU µs    CPU time of the Envoy process for one request, in microseconds: median (lowest..highest) of the rounds\n\
         added     of that, what is above the same chain without a filter and without cookies\n\
         x bare    all of it, as a ratio to that chain\n\
         x native  the added cost, as a ratio to that of Envoy's own filter for the same job\n\
         req/s     requests in a second through one worker, median\n\
         cookies   bytes of the request's cookies\n"
    );
    let width = results
        .0
        .iter()
        .map(|it| it.row.name.len())
        .max()
        .unwrap_or(0);
    println!(
        "{:width$}  {:>22}  {:>6}  {:>6}  {:>8}  {:>7}  {:>7}  meaning",
        "row", "CPU µs", "added", "x bare", "x native", "req/s", "cookies"
    );
    for measured in &results.0 {
        let row = &measured.row;
        let Spread {
            median,
            lowest,
            highest,
        } = results.cpu(measured);
        let cpu = format!("{median:.1} ({lowest:.1}..{highest:.1})");
        let shown = |value: Option<Spread>, digits: usize| {
            value.map_or("-".to_owned(), |it| format!("{:.digits$}", it.median))
        };
        let added = shown(results.added_cost(measured), 1);
        let bare = shown(results.whole_ratio(&row.name, row.bare()), 2);
        let native = row
            .native
            .as_ref()
            .and_then(|native| results.added_ratio(&row.name, native));
        let native = shown(native, 2);
        println!(
            "{:width$}  {cpu:>22}  {added:>6}  {bare:>6}  {native:>8}  {:>7.0}  {:>7}  {}",
            row.name,
            results.rate(measured).median,
            measured.cookie_bytes,
            row.text
        );
    }
}
