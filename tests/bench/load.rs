//! Point selects per second and their time, through each path in turns: what disturbs one disturbs all.

use std::time::{Duration, Instant};

use harness::OpenGrant;
use harness::figures::{Figure, Figures};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Statement};
use tokio::task::JoinSet;

use crate::Bench;

const ROUNDS: usize = 20;
/// How long one path is under load in one round.
const SLICE: Duration = Duration::from_millis(300);
const CONNECTIONS: [usize; 2] = [1, 8];
const POINT_SELECT: &str = "SELECT total FROM orders WHERE id = ?";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Text,
    Prepared,
}

/// One way to the server with its connections.
struct Path {
    name: &'static str,
    workers: Vec<Worker>,
}

struct Worker {
    connection: Conn,
    statement: Statement,
    next: u32,
}

/// What one slice brought.
struct Slice {
    per_second: f64,
    p50_micros: f64,
}

impl Bench {
    /// Opens a grant and measures the three ways, HAProxy's where the test bed's own node is at hand.
    pub async fn point_selects(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let grant = self.cluster.open(&self.database, &self.requester, &self.approver, "30m").await?;
        let haproxy = self.starts_haproxy(&grant).await;
        let direct = self.direct().await?;
        let mut paths = vec![Path::opened("direct", &direct).await?];
        match &haproxy {
            Ok(haproxy) => paths.push(Path::opened("HAProxy", &haproxy.instead_of(&direct)).await?),
            Err(error) => eprintln!("without HAProxy: {error:#}"),
        }
        paths.push(self.keyhole(&grant).await?);
        let measured = rounds(&mut paths, figures).await;
        if let Ok(haproxy) = haproxy {
            haproxy.stops(self).await?;
        }
        measured?;
        self.cluster.revokes(&self.approver, &grant).await
    }

    async fn keyhole(&self, grant: &OpenGrant) -> anyhow::Result<Path> {
        Path::opened("Keyhole", &self.through_keyhole(grant).await?).await
    }
}

async fn rounds(paths: &mut [Path], figures: &mut Figures) -> anyhow::Result<()> {
    for (protocol, word) in [(Protocol::Text, "text"), (Protocol::Prepared, "prepared")] {
        for connections in CONNECTIONS {
            let mut slices: Vec<Vec<Slice>> = paths.iter().map(|_| Vec::new()).collect();
            for _ in 0..ROUNDS {
                for (path, slices) in paths.iter_mut().zip(&mut slices) {
                    slices.push(path.slice(protocol, connections).await?);
                }
            }
            let what = format!("point selects, {word}, {connections} conn.");
            tell(paths, &slices, &what, figures);
        }
    }
    Ok(())
}

/// The figures of one kind of load: each path, and its share of the first one's (the direct one's).
fn tell(paths: &[Path], slices: &[Vec<Slice>], what: &str, figures: &mut Figures) {
    let of = |slices: &[Slice], part: fn(&Slice) -> f64| slices.iter().map(part).collect::<Vec<_>>();
    for (path, measured) in paths.iter().zip(slices) {
        let rate =
            Figure::of(&format!("{what}, {}", path.name), "/s", of(measured, |slice| slice.per_second));
        let time =
            Figure::of(&format!("{what}, {}: p50", path.name), "µs", of(measured, |slice| slice.p50_micros));
        figures.add(rate);
        figures.add(time);
    }
    let Some(direct) = slices.first() else { return };
    for (path, measured) in paths.iter().zip(slices).skip(1) {
        let pairs = measured.iter().zip(direct);
        let rates = pairs.clone().map(|(through, direct)| through.per_second / direct.per_second).collect();
        let times = pairs.map(|(through, direct)| through.p50_micros / direct.p50_micros).collect();
        figures.add(Figure::of(&format!("{what}, {} ÷ direct", path.name), "", rates));
        figures.add(Figure::of(&format!("{what}, {} ÷ direct: p50", path.name), "", times));
    }
}

impl Path {
    async fn opened(name: &'static str, client: &Opts) -> anyhow::Result<Self> {
        let mut workers = Vec::new();
        for next in 0..CONNECTIONS.into_iter().max().unwrap_or(1) {
            let mut connection = Conn::new(client.clone()).await?;
            let statement = connection.prep(POINT_SELECT).await?;
            workers.push(Worker { connection, statement, next: u32::try_from(next)? * 61 });
        }
        Ok(Self { name, workers })
    }

    async fn slice(&mut self, protocol: Protocol, connections: usize) -> anyhow::Result<Slice> {
        let began = Instant::now();
        let mut running = JoinSet::new();
        for worker in self.workers.drain(..connections) {
            running.spawn(worker.runs(protocol, began + SLICE));
        }
        let mut times = Vec::new();
        while let Some(finished) = running.join_next().await {
            let (worker, seen) = finished??;
            self.workers.push(worker);
            times.extend(seen);
        }
        let per_second = times.len() as f64 / began.elapsed().as_secs_f64();
        Ok(Slice { per_second, p50_micros: Figure::of("", "µs", times).median() })
    }
}

impl Worker {
    async fn runs(mut self, protocol: Protocol, until: Instant) -> anyhow::Result<(Self, Vec<f64>)> {
        let mut times = Vec::new();
        while Instant::now() < until {
            self.next = (self.next + 7) % 500;
            let id = self.next + 1;
            let began = Instant::now();
            let total: Option<String> = match protocol {
                Protocol::Text => {
                    self.connection.query_first(format!("SELECT total FROM orders WHERE id = {id}")).await?
                }
                Protocol::Prepared => self.connection.exec_first(&self.statement, (id,)).await?,
            };
            anyhow::ensure!(total.is_some(), "no order {id}");
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok((self, times))
    }
}
