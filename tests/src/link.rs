//! A UDP link between two ports in user space: delay, a bottleneck with a queue, loss.
//!
//! Needs no privileges, unlike `netem`, and knows no protocol. One thread, one socket towards each end; datagrams are
//! forwarded by the clock. The relay's own tests include this file by its path, so it uses nothing of this crate.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the link does in each direction.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Time that each datagram takes.
    pub delay: Duration,
    /// Bytes a second; `None` is without bound.
    pub rate: Option<f64>,
    /// Bytes that wait at the bottleneck before datagrams are dropped.
    pub queue: usize,
}

/// A running link. `left` stands for the right end as seen from the left, and the other way round.
pub struct Link {
    /// Where the left end sends to reach the right end.
    pub left: SocketAddr,
    /// Where the right end sends to reach the left end.
    pub right: SocketAddr,
    ends: Arc<Mutex<[Option<SocketAddr>; 2]>>,
    dropped: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Link {
    /// Starts a link; tell it the right end with [`Link::towards`]. The left end is whoever speaks first.
    ///
    /// # Panics
    /// When no socket can be had on loopback.
    #[must_use]
    pub fn start(shape: Shape) -> Self {
        let sockets = [socket(), socket()];
        let [left, right] = [0, 1].map(|side: usize| sockets[side].local_addr().unwrap());
        let ends = Arc::new(Mutex::new([None, None]));
        let dropped = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (ends, dropped, stop) = (ends.clone(), dropped.clone(), stop.clone());
            move || run(&sockets, shape, &ends, &dropped, &stop)
        });
        Self { left, right, ends, dropped, stop, thread: Some(thread) }
    }

    /// Names the real address of the right end.
    ///
    /// # Panics
    /// When the link's thread has panicked.
    pub fn towards(&self, right: SocketAddr) {
        self.ends.lock().unwrap()[1] = Some(right);
    }

    /// Datagrams dropped at the bottleneck so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let _ = socket.set_recv_buffer_size(8 << 20);
    let _ = socket.set_send_buffer_size(8 << 20);
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

fn run(
    sockets: &[UdpSocket; 2],
    shape: Shape,
    ends: &Mutex<[Option<SocketAddr>; 2]>,
    dropped: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut queues: [VecDeque<(Instant, Vec<u8>)>; 2] = [VecDeque::new(), VecDeque::new()];
    let mut free_at = [Instant::now(); 2];
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for side in 0..2 {
            // What arrives at the left socket came from the left end and leaves through the right one.
            for _ in 0..256 {
                let Ok((len, from)) = sockets[side].recv_from(&mut buffer) else { break };
                ends.lock().unwrap()[side].get_or_insert(from);
                idle = false;
                let now = Instant::now();
                let mut leaves = now;
                if let Some(rate) = shape.rate {
                    let waiting = free_at[side].saturating_duration_since(now).as_secs_f64() * rate;
                    if waiting + len as f64 > shape.queue as f64 {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    free_at[side] = free_at[side].max(now) + Duration::from_secs_f64(len as f64 / rate);
                    leaves = free_at[side];
                }
                queues[side].push_back((leaves + shape.delay, buffer[..len].to_vec()));
            }
            let now = Instant::now();
            let to = ends.lock().unwrap()[1 - side];
            while let Some((due, _)) = queues[side].front()
                && *due <= now
            {
                idle = false;
                let (_, datagram) = queues[side].pop_front().unwrap();
                if let Some(to) = to {
                    let _ = sockets[1 - side].send_to(&datagram, to);
                }
            }
        }
        if idle {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
