//! The store for a program that does not serve.

use super::*;
use crate::store::beside::{self, Beside, Company};
use http::Response;
use tollgate_core::api::{Commit, Plan};

fn commit(change: Change) -> Plan {
    let deed = deed(&format!("key:{}", change.name));
    Plan::Commit(Box::new(Commit { changes: vec![change], deed, answer: Response::new(Bytes::new()) }))
}

fn beside(folder: &Folder) -> Beside {
    Beside::open(&folder.store().to_string_lossy(), seal).unwrap()
}

fn change(store: &mut Beside, change: Change) {
    let since = store.snapshot().unwrap().line;
    let done = store.perform(since, |news| {
        assert!(news.is_empty());
        commit(change)
    });
    assert!(matches!(done, Ok(Plan::Answer(_))), "{done:?}");
}

#[tokio::test]
async fn whoever_has_the_file_hears_of_each_change_once_and_the_log_stays_whole() {
    let folder = Folder::new("beside");
    let Opened { store, .. } = open(&folder.store());
    store.commit(vec![key("own", Some("{}"))], deed("key:own")).await.unwrap();
    assert_eq!(store.news().await.unwrap(), [key("own", Some("{}"))], "its own as well");
    let mut other = beside(&folder);
    assert_eq!(other.company(), Company::Gateway);
    change(&mut other, key("a", Some("{\"rpm\":1}")));
    change(&mut other, key("b", Some("{}")));
    change(&mut other, key("a", Some("{\"rpm\":2}")));
    change(&mut other, key("own", None));
    let told = store.news().await.unwrap();
    assert_eq!(told, [key("b", Some("{}")), key("a", Some("{\"rpm\":2}")), key("own", None)]);
    assert_eq!(store.news().await.unwrap(), []);
    store.commit(Vec::new(), deed("token:1")).await.unwrap();
    assert_eq!(store.news().await.unwrap(), []);
    assert_eq!(store.check_audit().await.unwrap(), Chain::Whole(6));
}

#[tokio::test]
async fn what_is_decided_is_decided_on_what_stands_there_then() {
    let folder = Folder::new("beside-race");
    let Opened { store, .. } = open(&folder.store());
    let mut other = beside(&folder);
    let seen = other.snapshot().unwrap();
    store.commit(vec![key("a", Some("{}"))], deed("key:a")).await.unwrap();
    let done = other.perform(seen.line, |news| {
        assert_eq!(news, [key("a", Some("{}"))]);
        Plan::Upstreams
    });
    assert!(matches!(done, Ok(Plan::Upstreams)), "given back as it is");
    assert_eq!(other.snapshot().unwrap().line, 1, "nothing was written");
    store.commit(Vec::new(), deed("key:a")).await.unwrap();
}

#[test]
fn alone_it_keeps_others_out_for_as_long_as_it_takes() {
    let folder = Folder::new("beside-alone");
    let path = folder.store().to_string_lossy().into_owned();
    assert_eq!(beside::read(&path).unwrap().entities, []);
    assert!(!folder.store().exists(), "reading makes no file");
    let mut alone = beside(&folder);
    assert_eq!(alone.company(), Company::Alone);
    assert!(Store::open(&setup(&folder.store())).is_err());
    change(&mut alone, key("a", Some("{}")));
    drop(alone);
    let read = beside::read(&path).unwrap();
    assert_eq!((read.entities, read.line), (vec![key("a", Some("{}"))], 1));
    let Opened { entities, .. } = open(&folder.store());
    assert_eq!(entities, [key("a", Some("{}"))]);
}

#[test]
fn a_place_that_keeps_nothing_or_is_not_ours_is_refused() {
    let refused = |path: &str| Beside::open(path, seal).unwrap_err().0;
    assert!(refused(":memory:").contains("expected a file"));
    assert!(refused("/proc/none/tollgate.db").contains("set store.path"));
    let folder = Folder::new("beside-foreign");
    let path = folder.store().to_string_lossy().into_owned();
    behind_its_back(&folder.store(), "CREATE TABLE wallet (id)");
    assert!(refused(&path).contains("another program"));
    assert!(beside::read(&path).unwrap_err().0.contains("another program"));
}

#[test]
fn a_malformed_entry_is_told_and_stays() {
    let folder = Folder::new("beside-malformed");
    drop(beside(&folder));
    behind_its_back(&folder.store(), "INSERT INTO entities VALUES ('key', 'x', 'no JSON')");
    let seen = beside(&folder).snapshot().unwrap();
    assert_eq!((seen.entities.len(), seen.malformed[0].name.as_str()), (0, "x"));
    assert_eq!(beside(&folder).snapshot().unwrap().malformed.len(), 1);
}
