//! One signed-in device of one user: the core of Element X (matrix-sdk and matrix-sdk-ui) with its stores
//! in a directory. It takes the same commands as device.mjs: lines of JSON from the standard input,
//! {"id": 1, "do": "send", "args": [...]}, each answered with {"id": 1, "value": ...} or
//! {"id": 1, "error": "..."}. Logs go to the standard error (RUST_LOG selects them).
#![recursion_limit = "256"]

mod account;
mod device;
mod room;
mod view;

use std::{io::Write, path::PathBuf, sync::Arc};

use anyhow::Context;
use device::Device;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tracing_subscriber::EnvFilter;

const LOGGED: &str = "info,matrix_sdk::http_client=debug";

fn answer(id: &Value, result: anyhow::Result<Value>) {
    let line = match result {
        Ok(value) => json!({"id": id, "value": value}),
        Err(error) => json!({"id": id, "error": format!("{error:?}")}),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test reads the answers");
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("there is no other provider");

    let mut args = std::env::args().skip(1);
    let url = args.next().context("usage: URL STORE")?;
    let store = PathBuf::from(args.next().context("usage: URL STORE")?);
    let device = Arc::new(Device::new(url, store));

    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let device = device.clone();
        tokio::spawn(async move {
            let command: Value = serde_json::from_str(&line).expect("a command");
            let name = command["do"].as_str().unwrap_or_default();
            let args = command["args"].as_array().cloned().unwrap_or_default();
            answer(&command["id"], device.run(name, &args).await);
        });
    }
    std::process::exit(0) // as a phone ends an application: without a word to the server
}
