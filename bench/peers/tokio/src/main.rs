// SPDX-License-Identifier: MIT

//! tokio-peer does with Tokio what weft-bench does with weft: ../../README.md says what one
//! operation is. main.rs is the runner, tasks.rs and wake.rs have the rows, echo.rs the server.
//!
//! Everything runs on the current_thread runtime; the wake rows have one on each of two threads.

mod echo;
mod tasks;
mod wake;

use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const RUN: Duration = Duration::from_millis(200);
const OPS_MAX: u64 = 1 << 40;

/// Does that many operations and says how long they took.
type Row = fn(u64) -> Duration;

const ROWS: &[(&str, Row)] = &[
    ("yield", |ops| on_task(tasks::yields(ops))),
    ("spawn_join", |ops| on_task(tasks::spawn_join(ops))),
    ("channel_buffered", |ops| on_task(tasks::hand_over(ops, 128))),
    ("channel_rendezvous", |ops| on_task(tasks::hand_over(ops, 1))),
    ("timer_set_cancel", |ops| on_task(tasks::timer_set_cancel(ops))),
    ("mutex_uncontended", |ops| on_task(tasks::mutex_uncontended(ops))),
    ("wake_busy", |ops| wake::wake(ops, true)),
    ("wake_idle", |ops| wake::wake(ops, false)),
];

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// On a task of its own, not on the runtime's first future, which is scheduled differently.
fn on_task<T: Send + 'static>(body: impl Future<Output = T> + Send + 'static) -> T {
    runtime().block_on(async { tokio::spawn(body).await.expect("the task ends well") })
}

fn report(name: &str, unit: &str, value: f64, note: &str) {
    let note = match note {
        "" => String::new(),
        text => format!(",\"note\":\"{text}\""),
    };
    println!("{{\"name\":\"{name}\",\"unit\":\"{unit}\",\"value\":{value:.3}{note}}}");
}

/// Grow until a run is long enough to be timed, then run once at the wanted length.
fn measure(name: &str, row: Row) {
    let mut ops = 1000;
    let mut took = row(ops);
    while took < RUN / 10 && ops < OPS_MAX {
        ops *= 4;
        took = row(ops);
    }
    let ops = ((ops as f64 * RUN.as_secs_f64() / took.as_secs_f64()) as u64).max(1);
    let note = match name {
        "channel_rendezvous" => "capacity 1: Tokio has no channel without a buffer",
        _ => "",
    };
    report(name, "ns", row(ops).as_nanos() as f64 / ops as f64, note);
}

fn run_row(name: &str) {
    if name == "sleepers" {
        report(name, "s", on_task(tasks::sleepers()).as_secs_f64(), "");
        report("sleepers_rss", "MB", tasks::peak_megabytes(), "");
        return;
    }
    match ROWS.iter().find(|row| row.0 == name) {
        Some((name, row)) => measure(name, *row),
        None => {
            eprintln!("tokio-peer: no row {name}; see --list");
            std::process::exit(1);
        }
    }
}

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names = ROWS.iter().map(|row| row.0.to_string()).collect();
        names.push("sleepers".to_string());
    }
    match names[0].as_str() {
        "--list" => {
            ROWS.iter().for_each(|row| println!("{}", row.0));
            println!("sleepers\necho");
        }
        "echo" => echo::serve(),
        _ => names.iter().for_each(|name| run_row(name)),
    }
}
