//! Somebody who holds a copy, and no key, damages files and exchanges texts.

use audit::ASKED;
use audit::samples::{Dice, Files};
use record::What;

use super::{Expected, Good, expects, relaid};

const OF_BUNDLES: &[&str] = &["entry-differs", "bundle-damaged"];
const OF_TILES: &[&str] = &["tile-differs", "entry-differs"];
const OF_TEXTS: &[&str] = &["text-differs", "texts-damaged", "text-unasked", "texts-missing"];

fn kind_of(path: &str) -> &'static str {
    match path {
        "checkpoint" => "checkpoint",
        path if path.starts_with("texts/") => "texts",
        path if path.starts_with("tile/entries/") => "bundle",
        _ => "tile",
    }
}

pub(super) fn a_file(good: &Good, dice: &mut Dice) -> String {
    let paths: Vec<&String> = good.files.0.keys().filter(|path| *path != "checkpoint").collect();
    paths[dice.below(paths.len())].clone()
}

pub(super) fn flips_a_byte(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let (path, mut files) = (a_file(good, dice), good.files.clone());
    let bytes = files.0.get_mut(&path).unwrap();
    let at = dice.below(bytes.len());
    bytes[at] ^= 1 << dice.below(8);
    let any = match kind_of(&path) {
        "bundle" => OF_BUNDLES,
        "texts" => OF_TEXTS,
        _ => OF_TILES,
    };
    Some((files, expects(any, None)))
}

pub(super) fn cuts_a_file(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let (path, mut files) = (a_file(good, dice), good.files.clone());
    let bytes = files.0.get_mut(&path).unwrap();
    if dice.below(3) == 0 {
        bytes.push(7);
    } else {
        bytes.truncate(dice.below(bytes.len()));
    }
    Some((files, expects(&["bundle-damaged", "tile-damaged", "texts-damaged"], None)))
}

pub(super) fn removes_a_file(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let (path, mut files) = (a_file(good, dice), good.files.clone());
    files.0.remove(&path);
    let any: &[&str] = match kind_of(&path) {
        "bundle" => &["bundle-missing", "entries-gone"],
        "texts" => &["texts-missing"],
        _ => &["tile-missing"],
    };
    Some((files, expects(any, None)))
}

pub(super) fn exchanges_two_files(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let (one, other, mut files) = (a_file(good, dice), a_file(good, dice), good.files.clone());
    if one == other {
        return None;
    }
    files.0.insert(one.clone(), good.files.0[&other].clone());
    files.0.insert(other, good.files.0[&one].clone());
    let any = &[
        "bundle-damaged",
        "entry-differs",
        "tile-damaged",
        "tile-differs",
        "texts-damaged",
        "text-differs",
        "text-unasked",
    ];
    Some((files, expects(any, None)))
}

pub(super) fn text_at(good: &Good, dice: &mut Dice) -> usize {
    good.any(dice, |at, _| good.entries[at].text.is_some()).unwrap()
}

pub(super) fn drops_a_text(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = text_at(good, dice);
    Some((relaid(good, |entries| entries[at].text = None), expects(&["texts-missing"], None)))
}

pub(super) fn exchanges_two_texts(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let (one, other) = (text_at(good, dice), text_at(good, dice));
    let stream = good.stream(one);
    if one == other {
        return None;
    }
    let files = relaid(good, |entries| {
        let text = entries[one].text.take();
        entries[one].text = entries[other].text.take();
        entries[other].text = text;
    });
    Some((files, expects(&["text-differs"], stream)))
}

pub(super) fn alters_a_text(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = text_at(good, dice);
    let mut text = good.entries[at].text.clone().unwrap();
    let byte = dice.below(text.len());
    text[byte] ^= 1;
    Some((relaid(good, |entries| entries[at].text = Some(text)), expects(&["text-differs"], good.stream(at))))
}

pub(super) fn puts_a_text_where_none_is(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| !matches!(record.what, What::Statement(_)))?;
    let text = good.entries[text_at(good, dice)].text.clone();
    Some((relaid(good, |entries| entries[at].text = text), expects(&["text-unasked"], good.stream(at))))
}

/// As a copy is whose texts were all asked for, by a log that had no more entries than the copy.
fn asked(mut files: Files) -> Files {
    let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
    let size = note.lines().nth(1).unwrap();
    files.0.insert(ASKED.to_owned(), format!("{size} {size}\n").into_bytes());
    files
}

pub(super) fn leaves_all_texts_of_a_grant_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let grant = &good.records[text_at(good, dice)].grant;
    let files = relaid(good, |entries| {
        let of_grant = entries.iter_mut().zip(&good.records).filter(|(_, record)| record.grant == *grant);
        of_grant.for_each(|(entry, _)| entry.text = None);
    });
    Some((asked(files), expects(&["texts-missing"], None)))
}

pub(super) fn leaves_an_erasure_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Erase(_)))?;
    Some((asked(good.without(at)), expects(&["texts-missing"], None)))
}
