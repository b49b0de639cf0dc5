// SPDX-License-Identifier: MIT

//! An echo server on tokio's current_thread runtime: a task for each connection, one receive buffer
//! for all of them, which no task keeps across an await. AsyncRead's poll_read() knows that a short
//! read has emptied the socket, which try_read() does not: that saves a recv per request.

use std::cell::RefCell;
use std::future::Future;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{signal, SignalKind};

const BUFFER_BYTES: usize = 256 * 1024;
const BACKLOG: u32 = 65535; // The kernel cuts it to its own limit.

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// Sends what a full socket does not refuse; returns the rest.
fn send(stream: &TcpStream, bytes: &[u8]) -> Result<Vec<u8>> {
    match stream.try_write(bytes) {
        Ok(sent) if sent == bytes.len() => Ok(Vec::new()),
        Ok(sent) => Ok(bytes[sent..].to_vec()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(bytes.to_vec()),
        Err(error) => Err(error),
    }
}

/// Awaits bytes and sends them back: what is left of them, or None at the end of the stream.
struct Echo<'a>(&'a mut TcpStream);

impl Future for Echo<'_> {
    type Output = Result<Option<Vec<u8>>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        BUFFER.with(|buffer| {
            let mut buffer = buffer.borrow_mut();
            let mut got = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *self.0).poll_read(context, &mut got) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if got.filled().is_empty() => Poll::Ready(Ok(None)),
                Poll::Ready(Ok(())) => Poll::Ready(send(self.0, got.filled()).map(Some)),
            }
        })
    }
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    while let Some(mut rest) = Echo(&mut stream).await? {
        while !rest.is_empty() {
            stream.writable().await?;
            rest = send(&stream, &rest)?;
        }
    }
    Ok(())
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(BACKLOG)
}

async fn run(port: u16) -> Result<()> {
    let listener = listen(port)?;
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        }
    });
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

/// Ten thousand connections are more than what a shell usually permits.
fn raise_descriptor_limit() {
    #[repr(C)]
    struct Limit {
        now: u64,
        most: u64,
    }
    extern "C" {
        fn getrlimit(resource: i32, limit: *mut Limit) -> i32;
        fn setrlimit(resource: i32, limit: *const Limit) -> i32;
    }
    const RLIMIT_NOFILE: i32 = 7;
    let mut limit = Limit { now: 0, most: 0 };
    unsafe {
        if getrlimit(RLIMIT_NOFILE, &mut limit) == 0 {
            limit.now = limit.most;
            setrlimit(RLIMIT_NOFILE, &limit);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.as_slice() {
        [name, port] if name == "--port" => port.parse().unwrap_or(0),
        _ => 0,
    };
    if port == 0 {
        eprintln!("usage: echo_tokio --port N");
        std::process::exit(2);
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    if let Err(error) = runtime.block_on(run(port)) {
        eprintln!("echo_tokio: {}", error);
        std::process::exit(1);
    }
}
