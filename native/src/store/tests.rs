//! Against a real SQLite and real files.

mod beside; // while another process has it
mod folder; // a place that is cleaned up
pub(crate) mod queries; // what is asked is what was written
mod backfill; // what an older program has stored is brought over
mod elsewhere; // what other gateways have spent
mod responses; // for how long they are kept
mod stamps; // the later change wins
mod trouble; // a disk that is full, read-only or gone

pub(crate) use folder::Folder;

use super::entities::Origin;
use super::place::Place;
use super::*;
use bytes::Bytes;
use tollgate_core::api::Kind;
use tollgate_core::directory::HolderKind;
use tollgate_core::ledger::Stored;

/// Not a good hash, but each line changes it.
pub(crate) fn seal(before: &[u8; 32], deed: &Deed) -> [u8; 32] {
    let mut hash = *before;
    for (place, byte) in format!("{deed:?}").bytes().enumerate() {
        hash[place % 32] = hash[place % 32].wrapping_mul(31).wrapping_add(byte);
    }
    hash
}

pub(crate) fn setup(path: &Path) -> Setup {
    Setup { patience: Duration::ZERO, ..Setup::new(&path.to_string_lossy(), seal, Clock::start()) }
}

pub(crate) fn open(path: &Path) -> Opened {
    Store::open(&setup(path)).unwrap()
}

fn deed(subject: &str) -> Deed {
    Deed {
        at: Time(1_000),
        actor: "admin".to_owned(),
        action: "key.create".to_owned(),
        subject: subject.to_owned(),
        before: None,
        after: Some(Bytes::from_static(b"{}")),
    }
}

fn key(name: &str, spec: Option<&'static str>) -> Change {
    Change { kind: Kind::Key, name: name.to_owned(), spec: spec.map(Bytes::from) }
}

/// Does something to a database that no store has open.
fn behind_its_back(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Does something with the connection that writes.
pub(crate) async fn on_writer(store: &Store, sql: &'static str) {
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |connection| reply.send(connection.unwrap().execute_batch(sql)).unwrap());
    store.desk.order(Order::Read { job }).unwrap();
    answer.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_keeps_nothing_makes_no_file_and_answers_all_the_same() {
    let before = std::fs::read_dir(".").unwrap().count();
    let Opened { store, entities, .. } = Store::open(&Setup::new(":memory:", seal, Clock::start())).unwrap();
    assert!(entities.is_empty());
    store.commit(vec![key("ci", Some("{}"))], deed("key:ci")).await.unwrap();
    store.keep(queries::row(1));
    let lines = store.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(store.request(RequestId(1)).await.unwrap().is_some());
    assert_eq!(store.path(), None);
    assert_eq!(std::fs::read_dir(".").unwrap().count(), before);
}

#[tokio::test]
async fn what_is_committed_is_there_after_the_next_start() {
    let folder = Folder::new("committed");
    let Opened { store, .. } = open(&folder.store());
    let team = Change {
        kind: Kind::Holder(HolderKind::Team),
        name: "search".to_owned(),
        spec: Some(Bytes::from_static(b"{}")),
    };
    store.commit(vec![key("a", Some("{\"rpm\":1}")), team.clone()], deed("key:a")).await.unwrap();
    store.commit(vec![key("a", Some("{\"rpm\":2}"))], deed("key:a")).await.unwrap();
    store.commit(vec![key("b", Some("{}"))], deed("key:b")).await.unwrap();
    store.commit(vec![key("b", None)], deed("key:b")).await.unwrap();
    drop(store);
    let Opened { store, entities, set_aside, .. } = open(&folder.store());
    assert_eq!(entities, [key("a", Some("{\"rpm\":2}")), team]);
    assert!(set_aside.is_empty());
    let by = AuditQuery { subject: Some("key:b".to_owned()), limit: 10, ..AuditQuery::default() };
    let lines: Vec<u64> = store.audit(by).await.unwrap().into_iter().map(|line| line.seq).collect();
    assert_eq!(lines, [4, 3]);
    assert_eq!(store.check_audit().await.unwrap(), Chain::Whole(4));
}

#[tokio::test]
async fn every_string_is_only_a_string() {
    let folder = Folder::new("strings");
    let nasty = "x'; DROP TABLE entities; --\r\nset-cookie: a=b \u{0} \"é";
    let Opened { store, .. } = open(&folder.store());
    store.commit(vec![key(nasty, Some("{}"))], deed(nasty)).await.unwrap();
    store.keep(Row { key: nasty.to_owned(), tags: vec![nasty.to_owned()], ..queries::row(7) });
    assert_eq!(store.request(RequestId(7)).await.unwrap().unwrap().row.tags, [nasty]);
    let by = AuditQuery { subject: Some(nasty.to_owned()), limit: 10, ..AuditQuery::default() };
    assert_eq!(store.audit(by).await.unwrap()[0].deed.subject, nasty);
    drop(store);
    assert_eq!(open(&folder.store()).entities, [key(nasty, Some("{}"))]);
}

#[tokio::test]
async fn a_line_of_the_audit_log_that_was_changed_or_taken_out_shows() {
    let folder = Folder::new("audit");
    let Opened { store, .. } = open(&folder.store());
    for name in ["key:a", "key:b", "key:c"] {
        store.commit(Vec::new(), deed(name)).await.unwrap();
    }
    drop(store);
    let refused = Connection::open(folder.store()).unwrap().execute("DELETE FROM audit WHERE seq = 2", []);
    assert!(refused.unwrap_err().to_string().contains("append-only"));
    let free = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_cut;";
    behind_its_back(&folder.store(), &format!("{free} UPDATE audit SET actor = 'nobody' WHERE seq = 3"));
    assert_eq!(open(&folder.store()).store.check_audit().await.unwrap(), Chain::BrokenAt(3));
    behind_its_back(&folder.store(), "DELETE FROM audit WHERE seq = 2");
    assert_eq!(open(&folder.store()).store.check_audit().await.unwrap(), Chain::BrokenAt(2));
}

#[tokio::test]
async fn lines_taken_off_the_end_of_the_audit_log_show_before_and_after_the_next_change() {
    let folder = Folder::new("audit-end");
    let Opened { store, .. } = open(&folder.store());
    for name in ["key:a", "key:b", "key:c"] {
        store.commit(Vec::new(), deed(name)).await.unwrap();
    }
    assert_eq!(store.check_audit().await.unwrap(), Chain::Whole(3));
    drop(store);
    behind_its_back(&folder.store(), "DROP TRIGGER audit_is_not_cut; DELETE FROM audit WHERE seq > 1");
    let Opened { store, .. } = open(&folder.store());
    assert_eq!(store.check_audit().await.unwrap(), Chain::BrokenAt(2));
    store.commit(Vec::new(), deed("key:d")).await.unwrap();
    assert_eq!(store.check_audit().await.unwrap(), Chain::BrokenAt(2));
}

#[tokio::test]
async fn k17_a_malformed_request_is_left_out_and_takes_no_page_with_it() {
    let folder = Folder::new("malformed-request");
    let Opened { store, .. } = open(&folder.store());
    for number in 1..=5 {
        store.keep(Row { at: Time(number), ..queries::row(number.into()) });
    }
    store.flush().await.unwrap();
    drop(store);
    behind_its_back(
        &folder.store(),
        "UPDATE requests SET id = X'01' WHERE seq = 5; UPDATE requests SET model = X'ff' WHERE seq = 3",
    );
    let Opened { store, .. } = open(&folder.store());
    let mut query = RequestQuery {
        from: Time(0),
        to: Time::NEVER,
        only: Vec::new(),
        outcome: tollgate_core::api::Outcome::Any,
        after: None,
        limit: 2,
    };
    let mut seen = Vec::new();
    loop {
        let page = store.requests(query.clone()).await.unwrap();
        seen.extend(page.iter().map(|found| found.place.seq));
        let [.., last] = page.as_slice() else { break };
        query.after = Some(last.place);
        // A page that is not full is the last one for those who ask.
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(seen, [4, 2, 1]);
}

#[test]
fn k17_malformed_rows_are_set_aside_and_stop_nothing() {
    let folder = Folder::new("malformed");
    drop(open(&folder.store()));
    behind_its_back(
        &folder.store(),
        "INSERT INTO entities VALUES ('key', 'good', '{}'), ('key', 'null', NULL), ('key', 'masked', '****'),
            ('key', 'list', '[]'), ('router', 'old', '{}'), ('key', X'ff', '{}');
         INSERT INTO accounts VALUES ('key:good', X'01'), ('key:text', 'text');
         INSERT INTO open_entries VALUES (X'00000000000000000000000000000005', X'02'), (X'05', X'02');",
    );
    let Opened { store, entities, books, set_aside, late: _, had_keys: _ } = open(&folder.store());
    assert_eq!(entities, [key("good", Some("{}"))]);
    let stored = [
        Stored::Account { scope: "key:good".to_owned(), state: vec![1] },
        Stored::Open { id: RequestId(5), state: vec![2] },
    ];
    assert_eq!(books.stored, stored);
    let mut told: Vec<String> =
        set_aside.iter().map(|what| format!("{} {}: {}", what.origin.word(), what.name, what.why)).collect();
    told.sort();
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(told.contains(&"key masked: spec: is no JSON, line 1 column 1".to_owned()), "{told:?}");
    assert!(told.iter().any(|one| one.starts_with("router old: kind: \"router\" is unknown, expected")));
    drop(store);
    let kept = |sql| Connection::open(folder.store()).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(kept("SELECT count(*) FROM set_aside").unwrap(), 7);
    assert_eq!(kept("SELECT count(*) FROM entities").unwrap(), 1);
    assert_eq!(kept("SELECT count(*) FROM accounts").unwrap(), 1);
    assert_eq!(kept("SELECT count(*) FROM open_entries").unwrap(), 1);
    assert!(open(&folder.store()).set_aside.is_empty());
}

#[tokio::test]
async fn what_turns_out_to_be_malformed_later_is_set_aside_too() {
    let folder = Folder::new("later");
    let Opened { store, .. } = open(&folder.store());
    store.commit(vec![key("old", Some("{\"limit\":-1}"))], deed("key:old")).await.unwrap();
    let origin = Origin::Entity("key".to_owned());
    let why = "limit: unknown field".to_owned();
    store.set_aside(SetAside { origin, name: "old".to_owned(), why }).await.unwrap();
    drop(store);
    assert!(open(&folder.store()).entities.is_empty());
    let kept: String = Connection::open(folder.store())
        .unwrap()
        .query_row("SELECT content FROM set_aside", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, "{\"limit\":-1}");
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let folder = Folder::new("newer");
    drop(open(&folder.store()));
    behind_its_back(&folder.store(), "PRAGMA user_version = 9");
    let problem = Store::open(&setup(&folder.store())).unwrap_err().0;
    assert!(problem.contains("has schema 9, and this program knows none after 7"), "{problem}");
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let folder = Folder::new("foreign");
    behind_its_back(&folder.store(), "CREATE TABLE wallet (id)");
    let problem = Store::open(&setup(&folder.store())).unwrap_err().0;
    assert!(problem.contains("is a database of another program"), "{problem}");
    std::fs::write(folder.store(), "just some text, long enough to be read as the head of a file".repeat(20))
        .unwrap();
    let problem = Store::open(&setup(&folder.store())).unwrap_err().0;
    assert!(problem.contains("damaged or no database"), "{problem}");
}

#[test]
fn one_process_has_the_file_and_the_next_waits_until_it_lets_go() {
    let folder = Folder::new("two");
    let first = open(&folder.store());
    let problem = Store::open(&setup(&folder.store())).unwrap_err().0;
    assert!(problem.contains(&format!("process {} has this store open", std::process::id())), "{problem}");
    assert!(problem.contains("give each gateway its own store.path"), "{problem}");
    let patient = Setup { patience: Duration::from_secs(60), ..setup(&folder.store()) };
    let second = std::thread::spawn(move || Store::open(&patient).map(drop));
    drop(first);
    second.join().unwrap().unwrap();
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("owner");
    let _open = open(&folder.store());
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn a_place_in_memory_is_never_gone() {
    assert_eq!(Place::claim(":memory:", Duration::ZERO).unwrap().check(), Ok(()));
}
