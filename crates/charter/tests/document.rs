//! Charter documents: canonical form, contents, adoption.

mod support;

use charter::{Charter, Document, Error};
use support::*;

#[test]
fn the_default_follows_from_the_roster_alone() {
    let roster = roster();
    let default = Charter::default_for(&roster);
    assert_eq!(default.version(), 0);
    assert_eq!(default.document().modalities.len(), roster.profiles.len());
    assert!(default.document().parties.is_empty());
    assert_eq!(Charter::from_document(default.bytes(), &roster).as_ref(), Ok(&default));
    // What may differ between the rosters of two nodes does not change it.
    let mut moved = roster.clone();
    moved.nodes[0].url = "https://elsewhere.example".to_owned();
    moved.nodes[0].operator = "renamed".to_owned();
    assert_eq!(Charter::default_for(&moved).digest(), default.digest());
    let other = Document { version: 0, ..document(&roster) };
    assert_eq!(Charter::new(other, &roster), Err(Error::NotDefault));
}

#[test]
fn canonical_bytes_read_back_and_name_the_charter() {
    let roster = roster();
    let charter = charter(&roster);
    assert_eq!(Charter::from_document(charter.bytes(), &roster).as_ref(), Ok(&charter));
    assert_eq!(signed(&charter).digest(), charter.digest());
    let text = String::from_utf8(charter.bytes().to_vec()).unwrap();
    assert_eq!(Document::from_toml(&text).as_ref(), Ok(charter.document()));
}

#[test]
fn the_next_charter_is_adopted() {
    let roster = roster();
    let (default, first) = (Charter::default_for(&roster), charter(&roster));
    assert_eq!(default.adopts(&signed(&first), &roster).as_ref(), Ok(&first));
    let second = after(&first, &roster, |d| d.parties.truncate(1));
    assert_eq!(first.adopts(&signed(&second), &roster).as_ref(), Ok(&second));
}
