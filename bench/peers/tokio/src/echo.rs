// SPDX-License-Identifier: MIT

//! The echo server: prints its port and serves until it is killed.

use crate::runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut connection: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0u8; 1024];
    connection.set_nodelay(true)?;
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..count]).await?;
    }
}

async fn accept() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(echo(connection));
    }
}

pub fn serve() {
    let result = runtime().block_on(async { tokio::spawn(accept()).await.expect("accepting") });
    eprintln!("tokio-peer: {result:?}");
    std::process::exit(1);
}
