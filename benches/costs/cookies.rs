//! The `Cookie` field, which everybody can fill with anything.

use std::hint::black_box;

use bitgate::http::{Cookies, Headers};
use criterion::{Criterion, Throughput};

use crate::workload::case::{LARGE, SMALL, hostile_cookies};
use crate::workload::rules;
use crate::workload::site::Site;

pub fn reading(c: &mut Criterion) {
    let session = |token_bytes| Site::new(&rules::config(1), token_bytes).sign_in();
    let mut group = c.benchmark_group("read cookies");
    for (name, line) in [
        ("of small tokens", session(SMALL)),
        ("of large tokens", session(LARGE)),
        ("hostile", hostile_cookies()),
    ] {
        group.throughput(Throughput::Bytes(line.len() as u64));
        let headers = Headers::new(vec![("cookie".to_owned(), line.into_bytes())]);
        group.bench_function(name, |b| {
            b.iter(|| black_box(Cookies::read(black_box(&headers))).contains("theme"));
        });
    }
    group.finish();
}
