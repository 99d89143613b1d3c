//! Looks into index and tree, some at once. The operator has places of its own: the end of a grant waits for its answers, and for no search of
//! an auditor. Nobody looks on for who is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::PATIENCE;
use super::reader::Reader;
use super::records::ends;
use super::refusal::Refusal;
use crate::index::{Index, View};

/// How many of the operator's questions are looked up at once.
const OF_OPERATOR: usize = 4;

/// How many of all others'.
const OF_OTHERS: usize = 4;

/// Who looks. Clones are the same.
#[derive(Clone)]
pub(super) struct Looks {
    index: Index,
    operator: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// In whose places somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// The operator's.
    Operators,
    /// Those of everybody else, and of the log itself.
    Others,
}

impl Places {
    /// In which this one looks.
    pub fn of(reader: &Reader) -> Self {
        match reader {
            Reader::Operator => Self::Operators,
            Reader::Auditor(_) | Reader::Eraser(_) => Self::Others,
        }
    }
}

/// Says, when it is dropped, that nobody waits for the answer any more.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Looks {
    /// Into this index, and the tree beside it.
    pub(super) fn of(index: Index) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { index, operator: places(OF_OPERATOR), others: places(OF_OTHERS) }
    }

    /// Looks once there is a place. An index that does not fit is made again. When this is dropped, the look ends before it reads the next
    /// bundle.
    pub(super) async fn look<T, F>(&self, places: Places, look: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let places = match places {
            Places::Operators => &self.operator,
            Places::Others => &self.others,
        };
        let busy = |_| Refusal::again("too many questions at once: ask again in a while");
        let place = timeout(PATIENCE, Arc::clone(places).acquire_owned()).await.map_err(busy)?;
        let place = place.map_err(|_| ends())?;
        let index = self.index.clone();
        let is_left = Arc::new(AtomicBool::new(false));
        let _waits = Waits(Arc::clone(&is_left));
        let looked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let looked = index.view().map_err(Refusal::from).and_then(|view| look(&view.until(is_left)));
            if looked.as_ref().is_err_and(Refusal::is_of_index) {
                index.is_wrong();
            }
            looked
        });
        looked.await.map_err(|_| ends())?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::watch;

    use super::super::reader::Scope;
    use super::*;
    use crate::index::Unread;
    use crate::read::Files;
    use crate::source::Folder;

    /// How long something may take that waits for nothing.
    const SOON: Duration = Duration::from_secs(5);

    fn looks() -> (Looks, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let (_, published) = watch::channel(None);
        let files = Files::new(Arc::new(Folder(folder.path().to_owned())));
        let origin = "keyhole.internal/log/0123456789abcdef".parse().unwrap();
        (Looks::of(Index::of(folder.path(), files, origin, published)), folder)
    }

    fn shop() -> Reader {
        Reader::Auditor(Scope::Namespace("shop".into()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn searches_that_take_every_place_delay_no_question_of_the_operator() {
        let (looks, _folder) = looks();
        let mut held = Vec::new();
        for reader in [shop(), Reader::Auditor(Scope::All), Reader::Eraser(Scope::All), shop()] {
            let ((begins, begun), (goes_on, waits)) =
                (tokio::sync::oneshot::channel(), mpsc::channel::<()>());
            let looks = looks.clone();
            let look = tokio::spawn(async move {
                let look = move |_: &View<'_>| {
                    let _ = begins.send(());
                    let _ = waits.recv();
                    Ok(())
                };
                looks.look(Places::of(&reader), look).await
            });
            begun.await.unwrap();
            held.push((look, goes_on));
        }
        let operator = timeout(SOON, looks.look(Places::of(&Reader::Operator), |_| Ok(7)));
        assert_eq!(operator.await.expect("the operator does not wait"), Ok(7));
        let mut fifth = std::pin::pin!(looks.look(Places::Others, |_| Ok(8)));
        assert!(timeout(Duration::from_millis(200), fifth.as_mut()).await.is_err(), "the others wait");
        let (look, goes_on) = held.pop().unwrap();
        drop(goes_on);
        assert_eq!(look.await.unwrap(), Ok(()));
        assert_eq!(timeout(SOON, fifth).await.unwrap(), Ok(8));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_is_gone_has_no_place() {
        let (looks, _folder) = looks();
        for _ in 0..OF_OTHERS {
            let (begins, begun) = tokio::sync::oneshot::channel();
            let look = looks.look(Places::Others, |view| {
                let _ = begins.send(());
                // One that has the whole log to read.
                let late = Instant::now() + 2 * SOON;
                while view.bundles().load(0).err() != Some(Unread::Left) && Instant::now() < late {
                    std::thread::yield_now();
                }
                Ok(())
            });
            tokio::select! {
                _ = look => panic!("somebody waits for it"),
                began = begun => began.unwrap(),
            }
        }
        let next = timeout(SOON, looks.look(Places::Others, |view| Ok(view.size()))).await;
        assert_eq!(next.expect("there is a place again"), Ok(0));
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_ends_its_question() {
        let (begins, begun) = tokio::sync::oneshot::channel();
        let (waits, gone) = tokio::sync::oneshot::channel::<()>();
        let both = Arc::new(std::sync::Mutex::new(Some((begins, waits))));
        let handler = move || async move {
            let (begins, _waits) = both.lock().unwrap().take().unwrap();
            let _ = begins.send(());
            std::future::pending::<()>().await;
        };
        let router = axum::Router::new().route("/", axum::routing::get(handler));
        let (mut ours, theirs) = tokio::io::duplex(1024);
        let served = tokio::spawn(super::super::speak_http(theirs, router));
        ours.write_all(b"GET / HTTP/1.1\r\nHost: log\r\n\r\n").await.unwrap();
        begun.await.unwrap();
        drop(ours);
        assert!(timeout(SOON, gone).await.expect("its question is dropped").is_err());
        served.await.unwrap();
    }
}
