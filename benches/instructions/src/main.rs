//! Judges one kind of request some times, so that `scripts/instructions` can count what that takes.
//!
//! ```text
//! bitgate-instructions                    prints the names of the kinds
//! bitgate-instructions warm_small 10      prints how many allocations ten of them made
//! ```

#[path = "../../workload/mod.rs"]
mod workload;

mod memory;

use std::hint::black_box;

use workload::case::Case;
use workload::request::Fields;
use workload::site::Site;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Case::ALL.iter().for_each(|case| println!("{}", case.name)),
        [name, count] => {
            let case = Case::named(name).expect("the name of a case");
            println!("{}", allocations_of(case, count.parse().expect("a number")));
        }
        _ => panic!("expected a case and a number"),
    }
}

fn allocations_of(case: Case, count: usize) -> u64 {
    let (mut site, fields) = case.prepare();
    let mut sites: Vec<Site> = match case.is_cold() {
        true => (0..count).map(|_| site.another()).collect(),
        false => Vec::new(),
    };
    let requests: Vec<Fields> = vec![fields; count];
    let before = memory::allocations();
    for (number, fields) in requests.into_iter().enumerate() {
        counted(sites.get_mut(number).unwrap_or(&mut site), fields);
    }
    memory::allocations() - before
}

/// Callgrind counts what happens in here, and nothing else: `scripts/instructions` names it.
#[inline(never)]
fn counted(site: &mut Site, fields: Fields) {
    let _ = black_box(site.judge(fields));
}
