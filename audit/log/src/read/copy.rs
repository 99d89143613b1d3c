//! The texts of a bundle in the form of a copy, made while it is sent: a bundle may have 256 texts of 4 MiB, and one of them is in memory.
//!
//! Each text is opened twice: before the answer, to say on record which are read, and when its turn comes. One that is erased between is
//! opened no more, and the answer breaks off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use record::kinds::log::Read;
use record::texts::Texts;
use record::{Commitment, Count, Uid, What};
use tlog::WIDTH;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::question::Question;
use super::reader::Thing;
use super::records::{ends, may};
use super::refusal::Refusal;
use super::sealed::Sealed;
use super::texts::{damaged, open, unread};
use super::{Caller, Desk, PATIENCE, Places};
use crate::index::{View, place_of};

/// From how many bytes on a part of a copy is sent.
const PART: usize = 64 << 10;

/// Bytes before each text.
const LENGTH: u64 = 4;

/// A text that goes into a copy.
struct Wanted {
    grant: Uid,
    commit: Commitment,
    length: usize,
}

/// What goes into a copy: of each place the text, or `None`, where there is none to be seen.
struct Plan {
    sealed: Sealed,
    places: Vec<Option<Wanted>>,
    /// The records whose texts are opened.
    entries: Vec<Count>,
}

/// The texts of one bundle's records, or of its first ones, in the form of a copy.
pub(super) async fn some(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refusal> {
    let question = Question::parse(raw.as_deref(), &["from", "to"])?;
    let (Some(from), Some(to)) = (question.number("from")?, question.number("to")?) else {
        return Err(Refusal::question(
            "give `from` and `to`: the first record, and the one behind the last".to_owned(),
        ));
    };
    let (bundle, place) = place_of(from);
    let width = to.checked_sub(from).filter(|width| (1..=u64::from(WIDTH)).contains(width) && place == 0);
    let width = width.and_then(|width| u16::try_from(width).ok()).ok_or_else(|| {
        Refusal::question(
            "`from` must be a multiple of 256, and `to` 1 to 256 more: ask for one bundle at a time"
                .to_owned(),
        )
    })?;
    desk.is_kept(from)?;
    let busy = |_| Refusal::again("too many copies at once: ask again in a while");
    let turn = timeout(PATIENCE, Arc::clone(&desk.copies).acquire_owned()).await.map_err(busy)?;
    let turn = turn.map_err(|_| ends())?;
    let (shop, reader) = (desk.clone(), Arc::clone(&caller));
    let plan = desk
        .look(Places::of(&caller.reader), move |view| plan(&shop, &reader, view, (bundle, width)))
        .await?;
    if !plan.entries.is_empty() {
        let entries = plan.entries.clone();
        desk.own(None, What::Read(Read { entries, person: caller.person.clone() })).await?;
    }
    let headers = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(send(desk, plan, turn))).into_response())
}

fn plan(desk: &Desk, caller: &Caller, view: &View<'_>, (bundle, width): (u64, u16)) -> Result<Plan, Refusal> {
    may(&caller.reader, Thing::Of(caller.reader.only()))?;
    let end = bundle.saturating_mul(u64::from(WIDTH)).saturating_add(u64::from(width));
    if end > view.indexed() {
        return Err(Refusal::nothing(
            "the index has not all of these records yet: ask again when `indexed` has reached `to`",
        ));
    }
    let loaded = view.bundles().load(bundle)?;
    let sealed = Sealed::of(desk.source(), bundle).map_err(|error| unread(&error))?;
    let (mut places, mut entries) = (Vec::with_capacity(width.into()), Vec::new());
    for place in 0..width {
        let found = u8::try_from(place).map(|place| loaded.record(place));
        let Ok(Ok(found)) = found else { return Err(damaged()) };
        let text = sealed.read(place.into()).map_err(|error| unread(&error))?;
        let is_seen = !text.is_empty() && caller.reader.may_see(&view.whose(&found)?);
        let opened = if is_seen { open(desk, view, &found, &text) } else { Ok(None) };
        let opened = match opened {
            Err(refusal) if refusal.status == StatusCode::GONE => None,
            other => other?,
        };
        // One that no file takes counts as none: those beside it are to be had.
        let opened = opened.filter(|opened| Texts::takes(opened.text.len()));
        entries.extend(opened.iter().map(|_| Count::of(found.index)));
        places.push(opened.map(|opened| Wanted {
            grant: opened.grant,
            commit: opened.commit,
            length: opened.text.len(),
        }));
    }
    Ok(Plan { sealed, places, entries })
}

/// Opens one text after the other, as fast as they are taken. `turn` is given back when the last one is.
fn send(desk: Desk, plan: Plan, turn: OwnedSemaphorePermit) -> Sent {
    let (sender, parts) = mpsc::channel(1);
    let length = |wanted: &Wanted| u64::try_from(wanted.length).unwrap_or(u64::MAX);
    let lengths = plan.places.iter().map(|place| place.as_ref().map_or(0, length).saturating_add(LENGTH));
    let left = lengths.fold(0, u64::saturating_add);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        if let Err(broken) = open_each(&desk, &plan, &sender) {
            let _ = sender.blocking_send(Err(broken));
        }
    });
    Sent { parts, left }
}

fn open_each(desk: &Desk, plan: &Plan, sender: &mpsc::Sender<Result<Bytes, Broken>>) -> Result<(), Broken> {
    let mut part = Vec::new();
    for (place, wanted) in plan.places.iter().enumerate() {
        let text = wanted.as_ref().map(|wanted| again(desk, &plan.sealed, place, wanted).ok_or(Broken));
        Texts::put(text.transpose()?.as_deref(), &mut part).map_err(|_| Broken)?;
        if part.len() >= PART {
            sender.blocking_send(Ok(std::mem::take(&mut part).into())).map_err(|_| Broken)?;
        }
    }
    sender.blocking_send(Ok(part.into())).map_err(|_| Broken)
}

fn again(desk: &Desk, sealed: &Sealed, place: usize, wanted: &Wanted) -> Option<Vec<u8>> {
    let text = desk.unseal(&wanted.grant, (&sealed.read(place).ok()?, &wanted.commit)).ok()??;
    (text.len() == wanted.length).then_some(text)
}

/// A text cannot be opened that could a moment ago.
#[derive(Debug, thiserror::Error)]
#[error("a text was erased, or its file changed, while it was copied")]
struct Broken;

/// The body of an answer.
struct Sent {
    parts: mpsc::Receiver<Result<Bytes, Broken>>,
    /// How many bytes have not been taken yet.
    left: u64,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let part = self.parts.poll_recv(context);
        if let Poll::Ready(Some(Ok(bytes))) = &part {
            self.left = self.left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        part.map(|part| part.map(|part| part.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
