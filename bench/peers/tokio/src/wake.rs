// SPDX-License-Identifier: MIT

//! Two threads, a runtime on each, waking each other in turn.

use crate::runtime;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::yield_now;

#[derive(Default)]
struct Shared {
    there: Notify,
    back: Notify,
    over: AtomicBool,
}

/// A second task keeps the runtime from ever sleeping.
fn keep_busy(shared: &Arc<Shared>) {
    let shared = shared.clone();
    tokio::spawn(async move {
        while !shared.over.load(Ordering::Relaxed) {
            yield_now().await;
        }
    });
}

async fn answer(shared: Arc<Shared>, busy: bool) {
    if busy {
        keep_busy(&shared);
    }
    loop {
        shared.there.notified().await;
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        shared.back.notify_one();
    }
}

async fn ask(shared: Arc<Shared>, busy: bool, ops: u64) -> Duration {
    if busy {
        keep_busy(&shared);
    }
    let start = Instant::now();
    for _ in 0..ops / 2 {
        shared.there.notify_one();
        shared.back.notified().await;
    }
    let took = start.elapsed();
    shared.over.store(true, Ordering::Relaxed);
    shared.there.notify_one();
    took
}

pub fn wake(ops: u64, busy: bool) -> Duration {
    let shared = Arc::new(Shared::default());
    let other = shared.clone();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async { tokio::spawn(answer(other, busy)).await.expect("joined") })
    });
    let took =
        runtime().block_on(async { tokio::spawn(ask(shared, busy, ops)).await.expect("joined") });
    thread.join().expect("joined");
    took
}
