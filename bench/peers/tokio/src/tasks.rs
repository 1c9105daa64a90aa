// SPDX-License-Identifier: MIT

//! Tasks, channels, timers and a mutex within one thread.

use std::future::{poll_fn, Future};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, Mutex};
use tokio::task::{yield_now, JoinHandle};
use tokio::time::{sleep, sleep_until, Instant};

pub async fn yields(ops: u64) -> Duration {
    async fn turn(ops: u64) {
        for _ in 0..ops {
            yield_now().await;
        }
    }
    let start = Instant::now();
    let (one, other) = (tokio::spawn(turn(ops / 2)), tokio::spawn(turn(ops / 2)));
    one.await.expect("joined");
    other.await.expect("joined");
    start.elapsed()
}

pub async fn spawn_join(ops: u64) -> Duration {
    let start = Instant::now();
    for _ in (0..ops).step_by(10) {
        let tasks: [JoinHandle<()>; 10] = std::array::from_fn(|_| tokio::spawn(async {}));
        for task in tasks {
            task.await.expect("joined");
        }
    }
    start.elapsed()
}

pub async fn hand_over(ops: u64, capacity: usize) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<u64>(capacity);
    let start = Instant::now();
    tokio::spawn(async move {
        for i in 0..ops {
            sender.send(i).await.expect("sent");
        }
    });
    let mut item = 0;
    for _ in 0..ops {
        item = receiver.recv().await.expect("received");
    }
    assert_eq!(item, ops - 1);
    start.elapsed()
}

/// A Sleep is set by its first poll and cancelled when it is dropped.
pub async fn timer_set_cancel(ops: u64) -> Duration {
    let deadline = Instant::now() + Duration::from_secs(3600);
    let start = Instant::now();
    for i in 0..ops {
        let mut timer = pin!(sleep_until(deadline + Duration::from_nanos(i)));
        let set = poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_pending())).await;
        assert!(set);
    }
    start.elapsed()
}

pub async fn mutex_uncontended(ops: u64) -> Duration {
    let mutex = Mutex::new(0u64);
    let start = Instant::now();
    for _ in 0..ops {
        drop(std::hint::black_box(&mutex).lock().await);
    }
    start.elapsed()
}

pub async fn sleepers() -> Duration {
    let start = Instant::now();
    let nap = || async { sleep(Duration::from_millis(3500)).await };
    let tasks: Vec<_> = (0..1_000_000).map(|_| tokio::spawn(nap())).collect();
    for task in tasks {
        task.await.expect("joined");
    }
    start.elapsed()
}

/// VmHWM: getrusage would count what the parent used before exec.
pub fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let kilobytes = line.split_whitespace().nth(1).expect("a number");
    kilobytes.parse::<f64>().expect("a number") * 1024.0 / 1e6
}
