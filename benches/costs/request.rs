//! Whole requests, as `Gate::on_request` judges them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion};

use crate::workload::case::Case;

pub fn judging(c: &mut Criterion) {
    let mut group = c.benchmark_group("judge a request");
    // A site that has seen nothing takes longer to make than the request that it is made for.
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(2));
    for case in Case::ALL {
        let (mut site, fields) = case.prepare();
        group.bench_function(case.name, |b| match case.is_cold() {
            false => b.iter_batched(
                || fields.clone(),
                |fields| black_box(site.judge(fields)),
                BatchSize::SmallInput,
            ),
            true => b.iter_batched(
                || (site.another(), fields.clone()),
                |(mut site, fields)| (black_box(site.judge(fields)), site),
                BatchSize::LargeInput,
            ),
        });
    }
    group.finish();
}
