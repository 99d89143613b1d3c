//! Writers, with the client that proxies and operator have.

use std::sync::Arc;
use std::time::Duration;

use record::frame::Used;
use record::samples::{proxy_stream, salted, statement, uid};
use record::{About, Count, Head, StreamName, Time};
use recorder::{Fault, Link, Listener, Recorder, Urgency};
use tokio::sync::watch;

use super::authority::{Authority, NAME};
use super::log::Log;

/// How long an acknowledgement may take, the start of a log included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A writer and its connection.
pub struct Writer {
    recorder: Recorder,
    stream: StreamName,
    acknowledged: watch::Receiver<u64>,
}

struct Ear(watch::Sender<u64>);

impl Listener for Ear {
    fn welcome(&self, _: Used) {}

    fn acknowledged(&self, below: Count) {
        self.0.send_modify(|acknowledged| *acknowledged = below.get().max(*acknowledged));
    }

    fn away(&self, _: bool) {}

    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}

impl Writer {
    /// The proxy of a grant.
    pub fn proxy(authority: &Authority, log: &Log, grant: u8, run: u8) -> Self {
        let (told, acknowledged) = watch::channel(0);
        let stream = proxy_stream(grant, run);
        let recorder = Recorder::new(stream.clone(), Arc::new(Ear(told)));
        let link = Link {
            address: log.address(),
            server_name: NAME.try_into().unwrap(),
            tls: recorder::tls(authority.client(&format!("keyhole://proxy/{}", uid(grant)))),
        };
        let running = recorder.clone();
        tokio::spawn(async move { running.run(&link).await });
        Self { recorder, stream, acknowledged }
    }

    /// One more statement.
    pub fn says(&self, number: u64) {
        let payload = salted(&format!("SELECT {number} FROM shop.orders WHERE id = {number}"));
        let at = Time::from_micros(1_800_000_000_000_000).unwrap();
        let what = statement(1, &payload);
        self.recorder.put(Urgency::Begins, (at, About::default()), what, payload).unwrap();
    }

    /// Waits until so many records are acknowledged.
    pub async fn is_acknowledged(&self, count: u64) {
        let mut acknowledged = self.acknowledged.clone();
        let waited = tokio::time::timeout(PATIENCE, acknowledged.wait_for(|has| *has >= count)).await;
        waited.unwrap_or_else(|_| panic!("{:?} of {count}", self.recorder.acknowledged())).unwrap();
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        self.stream.clone()
    }

    /// How far it is.
    pub fn head(&self) -> Head {
        self.recorder.head()
    }
}
