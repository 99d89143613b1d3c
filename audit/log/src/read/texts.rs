//! Texts, opened: that somebody reads them is on record before they are answered. And their erasure.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use record::kinds::log::{Erase, Read};
use record::{Commitment, Count, Uid, What};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::reader::Thing;
use super::records::{ends, may, uid};
use super::refusal::Refusal;
use super::sealed::Sealed;
use super::{Caller, Desk, PATIENCE, Places};
use crate::index::{Found, Search, Sort, View, place_of};
use crate::source::is_away;
use crate::threads::Ask;
use crate::wrapped::{all_of, grants, has_any};

/// What is told of a text that was erased.
const ERASED: &str =
    "the text was erased: its record says that it was there, and the log's records who erased it";

/// A text, opened.
pub(super) struct Opened {
    /// Whose it is.
    pub grant: Uid,
    /// What it is bound to.
    pub commit: Commitment,
    /// Salt and payload.
    pub text: Vec<u8>,
}

/// The text of one record.
pub(super) async fn one(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(index): Path<String>,
) -> Result<Response, Refusal> {
    let index: u64 = index.parse().map_err(|_| {
        Refusal::question("a record's index is a number: take the one that an answer gives".to_owned())
    })?;
    desk.is_kept(index)?;
    let (shop, reader) = (desk.clone(), Arc::clone(&caller));
    let (opened, sealed) = desk
        .look(Places::of(&caller.reader), move |view| {
            if index >= view.indexed() {
                may(&reader.reader, Thing::Of(None))?;
                return Err(Refusal::nothing(
                    "the index has no such record yet: ask again when `indexed` is above it",
                ));
            }
            let found = view.bundles().record(index)?;
            may(&reader.reader, Thing::Of(view.whose(&found)?.namespace.as_deref()))?;
            let (bundle, place) = place_of(index);
            let sealed = Sealed::of(shop.source(), bundle).and_then(|sealed| sealed.read(place.into()));
            let sealed = sealed.map_err(|error| unread(&error))?;
            let opened = open(&shop, view, &found, &sealed)?.ok_or_else(|| {
                Refusal::nothing("this record has no text: only statements have, and not all of them")
            })?;
            Ok((opened, sealed))
        })
        .await?;
    let read = Read { entries: vec![Count::of(index)], person: caller.person.clone() };
    Ok(bytes(on_record(&desk, read, (opened, sealed)).await?))
}

/// The text, once its reading is on record. One that was erased meanwhile is opened no more: whoever erased it may have been told so.
async fn on_record(desk: &Desk, read: Read, (opened, sealed): (Opened, Vec<u8>)) -> Result<Vec<u8>, Refusal> {
    let Opened { grant, commit, text: _ } = opened;
    desk.own(Some(grant.clone()), What::Read(read)).await?;
    let shop = desk.clone();
    let again = tokio::task::spawn_blocking(move || shop.unseal(&grant, (&sealed, &commit)));
    again.await.map_err(|_| ends())??.ok_or_else(|| Refusal::gone(ERASED))
}

/// Opens the text of a record; `None`, where it has none.
pub(super) fn open(
    desk: &Desk,
    view: &View<'_>,
    found: &Found,
    sealed: &[u8],
) -> Result<Option<Opened>, Refusal> {
    let What::Statement(statement) = &found.record.what else { return Ok(None) };
    let (Some(text), Some(grant)) = (&statement.text, &found.record.grant) else { return Ok(None) };
    if sealed.is_empty() {
        return Err(damaged());
    }
    let commit: &Commitment = &text.commit;
    match desk.unseal(grant, (sealed, commit))? {
        Some(text) => Ok(Some(Opened { grant: grant.clone(), commit: *commit, text })),
        // The key that is there may be a later one.
        None if desk.keys.is_erased(grant) || was_erased(view, grant, found.index)? => {
            Err(Refusal::gone(ERASED))
        }
        None if view.indexed() < view.size() => Err(Refusal::again(
            "the text cannot be opened, and whether it was erased is not known yet: ask again when `indexed` has reached `size`",
        )),
        None => Err(damaged()),
    }
}

fn was_erased(view: &View<'_>, grant: &Uid, index: u64) -> Result<bool, Refusal> {
    let erasures = Search::default().and(Sort::Grant, grant.as_str()).and(Sort::Kind, "erase");
    Ok(!view.page(&erasures, Some(index), 1)?.records.is_empty())
}

/// Sealed texts cannot be read.
pub(super) fn unread(error: &io::Error) -> Refusal {
    if is_away(error) { Refusal::away() } else { damaged() }
}

pub(super) fn damaged() -> Refusal {
    Refusal::damage(
        "the text cannot be opened: its file or its key is damaged, or the key-encryption key is another one; restore them".to_owned(),
    )
}

/// The keys cannot be looked at.
fn no_keys(error: &io::Error) -> Refusal {
    let damage = || Refusal::damage("the folder of the keys cannot be read".to_owned());
    if is_away(error) { Refusal::away() } else { damage() }
}

fn bytes(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")], bytes).into_response()
}

/// Whose texts are to be erased.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    grant: String,
}

/// Erases the texts of a grant. When it answers, nobody can open them.
pub(super) async fn erase(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    may(&caller.reader, Thing::Erasure(caller.reader.only()))?;
    let order: Order = serde_json::from_slice(&body).map_err(|_| {
        Refusal::question(r#"the body must be {"grant": "<uid>"}, and nothing else"#.to_owned())
    })?;
    let grant = uid(&order.grant)?;
    // Who asks for grants that there are not makes no tree.
    if let Err(refusal) = may_erase(&desk, &caller, &grant).await
        && !desk.has_streams(&grant).await?
    {
        return Err(refusal);
    }
    // What was written before the order is erased with it, and whose the grant is may have been written just now.
    desk.is_indexed().await?;
    may_erase(&desk, &caller, &grant).await?;
    desk.erase(grant.clone(), Some(caller.person.clone())).await?;
    // The key is gone. Who looks for the record finds it.
    let size = desk.log.publish().await.ok_or_else(ends)?.size;
    // Only that it is told as erased needs the index.
    let _ = timeout(PATIENCE, desk.index.reaches(size)).await;
    Ok(Json(json!({ "erased": grant.as_str() })).into_response())
}

/// Whether the index knows that it may.
async fn may_erase(desk: &Desk, caller: &Arc<Caller>, grant: &Uid) -> Result<(), Refusal> {
    let (reader, asked, source) = (Arc::clone(caller), grant.clone(), Arc::clone(desk.source()));
    desk.look(Places::of(&caller.reader), move |view| {
        let known = view.grant(&asked)?;
        may(
            &reader.reader,
            Thing::Erasure(known.as_ref().and_then(|known| known.whose.namespace.as_deref())),
        )?;
        let records = Search::default().and(Sort::Grant, asked.as_str());
        // Of one that a log had which was given up, or whose records were pruned, there may be a key and nothing else.
        if view.page(&records, None, 1)?.records.is_empty()
            && !has_any(source.as_ref(), &asked).map_err(|error| no_keys(&error))?
        {
            return Err(Refusal::nothing("the log has no record of this grant: check its uid"));
        }
        Ok(())
    })
    .await
}

impl Desk {
    /// A text, by a key that its grant has now; `None`, where none opens it.
    pub(super) fn unseal(
        &self,
        grant: &Uid,
        sealed: (&[u8], &Commitment),
    ) -> Result<Option<Vec<u8>>, Refusal> {
        match all_of(self.source().as_ref(), grant) {
            Err(error) if is_away(&error) => Err(Refusal::away()),
            Err(_) => Ok(None),
            Ok(all) => Ok(all.into_iter().find_map(|wrapped| self.keys.open(grant, wrapped, sealed).ok())),
        }
    }

    /// Whether a proxy of this grant has written of late, as far as the journal knows.
    pub(crate) async fn has_streams(&self, grant: &Uid) -> Result<bool, Refusal> {
        let (reply, streams) = oneshot::channel();
        self.log.ask(Ask::Streams { grant: grant.clone(), reply });
        streams.await.map(|streams| !streams.is_empty()).map_err(|_| ends())
    }

    /// Waits until the index has all that is durable now.
    pub(crate) async fn is_indexed(&self) -> Result<(), Refusal> {
        let size = self.log.publish().await.ok_or_else(ends)?.size;
        let late =
            || Refusal::again("the index does not know all records yet: ask again when it has come closer");
        timeout(PATIENCE, self.index.reaches(size)).await.map_err(|_| late())
    }

    /// The grants that have a key, and so texts.
    pub(crate) async fn grants_with_texts(&self) -> Result<Vec<Uid>, Refusal> {
        let source = Arc::clone(self.source());
        let grants = tokio::task::spawn_blocking(move || grants(source.as_ref()));
        let grants = grants.await.map_err(|_| ends())?.map_err(|error| no_keys(&error))?;
        Ok(grants.into_iter().collect())
    }

    /// Puts on record that the texts of a grant are erased; nothing is sealed with its key any more. `person`: who asked for it; nobody,
    /// where they came of age.
    pub(crate) async fn erase(&self, grant: Uid, person: Option<String>) -> Result<(), Refusal> {
        self.own(Some(grant), What::Erase(Erase { person })).await
    }

    /// Puts a record of the log's own on the disk.
    pub(crate) async fn own(&self, grant: Option<Uid>, what: What) -> Result<(), Refusal> {
        let (reply, durable) = oneshot::channel();
        self.log.ask(Ask::Own { grant, whats: vec![what], reply });
        match durable.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Refusal::again(
                "this cannot be put on record, so it is not done: give the log's volume more room, and ask again",
            )),
            Err(_) => Err(ends()),
        }
    }
}

#[cfg(test)]
mod tests {
    use record::Head;
    use record::samples::uid;

    use super::*;
    use crate::engine::keys::key_path;
    use crate::index::Index;
    use crate::read::Files;
    use crate::seal::{KeyEncryptionKeys, Keys};
    use crate::source::Folder;
    use crate::threads::Log;

    const KEK: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

    #[tokio::test]
    async fn a_text_that_is_erased_while_its_reading_goes_on_record_is_not_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (log, asked) = Log::by_hand();
        let files = Files::new(Arc::new(Folder(folder.path().to_owned())));
        let origin = "keyhole.internal/log/1".parse().unwrap();
        let index = Index::of(folder.path(), files.clone(), origin, log.published());
        let keys = Keys::new(KeyEncryptionKeys::parse(KEK).unwrap());
        let desk = Desk::new(log, files, index, keys.clone());
        let (text, commit) = (b"SELECT 1".to_vec(), Commitment::to(b"SELECT 1"));
        let (key, stored) = keys.of(&uid(1), || Ok::<_, std::io::Error>(None)).unwrap();
        let sealed = key.seal(&text, &commit).unwrap();
        let file = folder.path().join(key_path(&uid(1)));
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        for is_erased in [false, true] {
            std::fs::write(&file, &stored.wrapped).unwrap();
            let opened = Opened { grant: uid(1), commit, text: text.clone() };
            let read = Read { entries: vec![Count::of(0)], person: "reader".to_owned() };
            let reads = on_record(&desk, read, (opened, sealed.clone()));
            let puts = async {
                let Ask::Own { reply, .. } = asked.recv().unwrap() else { panic!() };
                if is_erased {
                    std::fs::remove_file(&file).unwrap();
                }
                reply.send(Ok(Head::default())).unwrap();
            };
            let (answer, ()) = tokio::join!(reads, puts);
            let wanted = if is_erased { Err(Refusal::gone(ERASED)) } else { Ok(text.clone()) };
            assert_eq!(answer, wanted);
        }
    }
}
