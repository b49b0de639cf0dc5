// SPDX-License-Identifier: MIT

//! tokio, asked what perf/micro asks Coil, on a current_thread runtime. Takes the arguments that
//! perf/micro/measure.h describes.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, Mutex, Notify, Semaphore};
use tokio::task::{spawn, spawn_blocking, yield_now, JoinHandle};
use tokio::time::{sleep, Sleep};

const MANY: u64 = 1_000_000;
const ENOUGH_NS: f64 = 20e6;
const RUNS: u32 = 4;
const PAGE_BYTES: usize = 4096;
const PAGES: u64 = 16384;

fn since(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// With the reactor, which is what hears of children.
fn drive_io<F: Future<Output = f64>>(body: F) -> f64 {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

/// Runs one coroutine, and all that it spawns on this thread, to the end.
fn drive<F: Future<Output = f64>>(body: F) -> f64 {
    runtime().block_on(body)
}

async fn lock(count: u64) -> f64 {
    let mutex = Mutex::new(());
    let start = Instant::now();
    for _ in 0..count {
        let _guard = mutex.lock().await;
    }
    since(start)
}

async fn semaphore(count: u64) -> f64 {
    let permits = Semaphore::new(1);
    let start = Instant::now();
    for _ in 0..count {
        let _permit = permits.acquire().await.unwrap();
    }
    since(start)
}

/// A Notify keeps one notification, which the wait takes.
async fn event(count: u64) -> f64 {
    let happened = Notify::new();
    let start = Instant::now();
    for _ in 0..count {
        happened.notify_one();
        happened.notified().await;
    }
    since(start)
}

async fn queue(count: u64) -> f64 {
    let (to, mut from) = mpsc::channel(64);
    let start = Instant::now();
    for i in 0..count {
        to.send(i).await.unwrap();
        from.recv().await.unwrap();
    }
    since(start)
}

async fn pass_items(slots: usize, count: u64) -> f64 {
    let (to, mut from) = mpsc::channel(slots);
    let start = Instant::now();
    let putter = spawn(async move {
        for i in 0..count {
            to.send(i).await.unwrap();
        }
    });
    let getter = spawn(async move { while from.recv().await.is_some() {} });
    putter.await.unwrap();
    getter.await.unwrap();
    since(start)
}

async fn queue_64_slots(count: u64) -> f64 {
    pass_items(64, count).await
}

async fn queue_1_slot(count: u64) -> f64 {
    pass_items(1, count).await
}

/// There are no channels without a buffer: one slot each.
async fn channel_ping_pong(count: u64) -> f64 {
    let (there, mut arrived) = mpsc::channel(1);
    let (back, mut returned) = mpsc::channel(1);
    let start = Instant::now();
    let server = spawn(async move {
        for i in 0..count {
            there.send(i).await.unwrap();
            returned.recv().await.unwrap();
        }
    });
    let answerer = spawn(async move {
        while let Some(i) = arrived.recv().await {
            back.send(i).await.unwrap();
        }
    });
    server.await.unwrap();
    answerer.await.unwrap();
    since(start)
}

async fn yield_often(count: u64) {
    for _ in 0..count {
        yield_now().await;
    }
}

async fn yield_(count: u64) -> f64 {
    let start = Instant::now();
    let one = spawn(yield_often(count / 2));
    let other = spawn(yield_often(count / 2));
    one.await.unwrap();
    other.await.unwrap();
    since(start)
}

async fn spawn_join(count: u64) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        spawn(async {}).await.unwrap();
    }
    since(start)
}

async fn spawn_join_all(count: u64) -> f64 {
    let start = Instant::now();
    let tasks: Vec<JoinHandle<()>> = (0..count).map(|_| spawn(async {})).collect();
    for task in tasks {
        task.await.unwrap();
    }
    since(start)
}

struct Ahead(u64);

impl Ahead {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_nanos(1_000_000_000_000 + self.0 % 60_000_000_000)
    }
}

/// A Sleep is armed when it is first polled, and disarmed when it is dropped.
struct Arm<'a>(Pin<&'a mut Sleep>);

impl Future for Arm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let _ = self.0.as_mut().poll(context);
        Poll::Ready(())
    }
}

async fn armed(count: u64) -> Vec<Pin<Box<Sleep>>> {
    let mut ahead = Ahead(88172645463325252);
    let mut timers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let mut timer = Box::pin(sleep(ahead.next()));
        Arm(timer.as_mut()).await;
        timers.push(timer);
    }
    timers
}

async fn timer_1m(count: u64) -> f64 {
    let _live = armed(MANY).await;
    let start = Instant::now();
    for _ in 0..count {
        let timer = sleep(Duration::from_secs(1030));
        tokio::pin!(timer);
        Arm(timer.as_mut()).await;
    }
    since(start)
}

async fn timers_1m(count: u64) -> f64 {
    let start = Instant::now();
    drop(armed(count).await);
    since(start)
}

#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

fn cpu_now() -> f64 {
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32;
    }
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut spent = TimeSpec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut spent) };
    spent.seconds as f64 * 1e9 + spent.nanoseconds as f64
}

/// Armed over the next 100 ms, until all have fired; CPU time. Each has a task, because that is how
/// to wait for many.
async fn timer_fire_1m(count: u64) -> f64 {
    let mut ahead = Ahead(88172645463325252);
    let start = cpu_now();
    let tasks: Vec<JoinHandle<()>> = (0..count)
        .map(|_| spawn(sleep(Duration::from_nanos(ahead.next().as_nanos() as u64 % 100_000_000))))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    cpu_now() - start
}

/// A thread of the pool reads: tokio has no files of its own, and its tokio::fs does just that.
async fn read_pages(file: Arc<File>, seed: u64, count: u64) {
    let mut random = Ahead(88172645463325252 + seed);
    let mut page = vec![0u8; PAGE_BYTES];
    for _ in 0..count {
        let offset = random.next().as_nanos() as u64 % PAGES * PAGE_BYTES as u64;
        let file = file.clone();
        page = spawn_blocking(move || {
            file.read_exact_at(&mut page, offset).unwrap();
            page
        })
        .await
        .unwrap();
    }
}

static PAGES_FILE: std::sync::Mutex<Option<Arc<File>>> = std::sync::Mutex::new(None);

fn create_pages() -> Arc<File> {
    let path = std::env::temp_dir().join(format!("perf_pages_{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&vec![0; PAGES as usize * PAGE_BYTES]).unwrap();
    Arc::new(file)
}

async fn file_read(at_once: u64, count: u64) -> f64 {
    let file = PAGES_FILE.lock().unwrap().get_or_insert_with(create_pages).clone();
    let start = Instant::now();
    let readers: Vec<JoinHandle<()>> =
        (0..at_once).map(|i| spawn(read_pages(file.clone(), i, count / at_once))).collect();
    for reader in readers {
        reader.await.unwrap();
    }
    since(start)
}

fn child_path() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().join("../helper/exit_zero")
}

async fn spawn_children(at_once: u64, count: u64) -> f64 {
    let path = child_path();
    let start = Instant::now();
    for _ in 0..count / at_once {
        let children: Vec<_> = (0..at_once).map(|_| Command::new(&path).spawn().unwrap()).collect();
        for mut child in children {
            assert!(child.wait().await.unwrap().success());
        }
    }
    since(start)
}

fn pin_to(core: usize) {
    extern "C" {
        fn sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
    }
    let cores = [1u64 << core; 1];
    unsafe { sched_setaffinity(0, std::mem::size_of_val(&cores), cores.as_ptr()) };
}

/// Two runtimes of one thread each, each on a core of its own, with a channel each way.
fn post_round_trip(count: u64) -> f64 {
    let (there, mut arrived) = mpsc::channel(1);
    let (back, mut returned) = mpsc::channel(1);
    let thread = std::thread::spawn(move || {
        pin_to(1);
        runtime().block_on(async move {
            while let Some(i) = arrived.recv().await {
                back.send(i).await.unwrap();
            }
        })
    });
    pin_to(0);
    let spent = runtime().block_on(async move {
        let start = Instant::now();
        for i in 0..count {
            there.send(i).await.unwrap();
            returned.recv().await.unwrap();
        }
        since(start)
    });
    thread.join().unwrap();
    spent
}

fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

async fn task_resident(count: u64) -> f64 {
    let (over, parked) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let before = resident_bytes();
    let handles: Vec<JoinHandle<()>> = (0..count)
        .map(|_| {
            let (over, parked) = (over.clone(), parked.clone());
            spawn(async move {
                parked.fetch_add(1, Relaxed);
                over.notified().await
            })
        })
        .collect();
    while parked.load(Relaxed) < count {
        yield_now().await;
    }
    let grown = resident_bytes() - before;
    over.notify_waiters();
    for handle in handles {
        handle.await.unwrap();
    }
    grown
}

struct Subject {
    bench: &'static str,
    run: fn(u64) -> f64,
    count: u64, // 0: as often as takes ENOUGH_NS
    unit: &'static str,
}

const SUBJECTS: &[Subject] = &[
    Subject { bench: "lock", run: |n| drive(lock(n)), count: 0, unit: "ns" },
    Subject { bench: "semaphore", run: |n| drive(semaphore(n)), count: 0, unit: "ns" },
    Subject { bench: "event", run: |n| drive(event(n)), count: 0, unit: "ns" },
    Subject { bench: "queue", run: |n| drive(queue(n)), count: 0, unit: "ns" },
    Subject { bench: "queue_64_slots", run: |n| drive(queue_64_slots(n)), count: 0, unit: "ns" },
    Subject { bench: "queue_1_slot", run: |n| drive(queue_1_slot(n)), count: 0, unit: "ns" },
    Subject { bench: "channel_ping_pong", run: |n| drive(channel_ping_pong(n)), count: 0, unit: "ns" },
    Subject { bench: "yield", run: |n| drive(yield_(n)), count: 0, unit: "ns" },
    Subject { bench: "spawn_join", run: |n| drive(spawn_join(n)), count: 0, unit: "ns" },
    Subject { bench: "spawn_join_all", run: |n| drive(spawn_join_all(n)), count: MANY, unit: "ns" },
    Subject { bench: "timer_1m", run: |n| drive(timer_1m(n)), count: MANY, unit: "ns" },
    Subject { bench: "timers_1m", run: |n| drive(timers_1m(n)), count: MANY, unit: "ns" },
    Subject { bench: "timer_fire_1m", run: |n| drive(timer_fire_1m(n)), count: MANY, unit: "ns" },
    Subject { bench: "file_read_4k", run: |n| drive(file_read(1, n)), count: 16384, unit: "ns" },
    Subject { bench: "file_read_4k_32", run: |n| drive(file_read(32, n)), count: 16384, unit: "ns" },
    Subject { bench: "spawn_child", run: |n| drive_io(spawn_children(1, n)), count: 300, unit: "ns" },
    Subject { bench: "spawn_children_50", run: |n| drive_io(spawn_children(50, n)), count: 300, unit: "ns" },
    Subject { bench: "post_round_trip", run: post_round_trip, count: 4096, unit: "ns" },
    Subject { bench: "task_resident", run: |n| drive(task_resident(n)), count: 200_000, unit: "bytes" },
];

fn measure(subject: &Subject) {
    let mut count = if subject.count > 0 { subject.count } else { 256 };
    let mut best = (subject.run)(count);
    while subject.count == 0 && best < ENOUGH_NS {
        count *= 2;
        best = (subject.run)(count);
    }
    if subject.unit == "ns" {
        for _ in 1..RUNS {
            best = best.min((subject.run)(count));
        }
    }
    let each = best / count as f64;
    println!("{{\"bench\":\"{}\",\"impl\":\"tokio\",\"n\":{},\"{}\":{:.2}}}", subject.bench, count, subject.unit, each);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.join(" ");
    let mut found = false;
    for subject in SUBJECTS {
        if wanted == "--list" {
            println!("{} tokio", subject.bench);
        } else if wanted.is_empty() || wanted == format!("{} tokio", subject.bench) {
            measure(subject);
        } else {
            continue;
        }
        found = true;
    }
    if !found {
        eprintln!("usage: tokio [--list | BENCH tokio]");
        std::process::exit(2);
    }
}
