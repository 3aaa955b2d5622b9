//! A disk that is full, read-only or gone.

use super::super::desk::{Desk, MOST_ROWS, Rows};
use super::super::writer::Health;
use super::queries::{everything, row};
use super::*;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);

/// Until it has found out by itself.
async fn becomes_writable(store: &Store) {
    let give_up = Instant::now() + PATIENCE;
    while !store.is_writable() {
        assert!(Instant::now() < give_up, "it takes no writes: {:?}", store.trouble());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn refuses(store: &Store, expected: &StoreError) {
    let filler = format!("\"{}\"", "x".repeat(200_000));
    let spec = Bytes::from(format!("{{\"a\":{filler}}}"));
    let change = Change { kind: Kind::Key, name: "big".to_owned(), spec: Some(spec) };
    assert_eq!(store.commit(vec![change], deed("key:big")).await.as_ref(), Err(expected));
    assert!(!store.is_writable());
    assert_eq!(store.trouble().as_ref(), Some(expected));
    // What is there can still be read.
    assert_eq!(store.spend(everything()).await.unwrap()[0].requests.get(), 1);
    // And what is over in the meantime waits.
    store.keep(row(2));
}

async fn recovers(store: &Store) {
    becomes_writable(store).await;
    assert_eq!(store.trouble(), None);
    assert_eq!(store.spend(everything()).await.unwrap()[0].requests.get(), 2);
    let lines = store.audit(AuditQuery { limit: 10, ..AuditQuery::default() }).await.unwrap();
    assert!(lines.is_empty(), "what was refused was not done later");
    store.commit(Vec::new(), deed("key:ci")).await.unwrap();
    assert_eq!(store.check_audit().await.unwrap(), Chain::Whole(1));
}

#[tokio::test]
async fn a_full_disk_refuses_changes_keeps_amounts_and_is_over_by_itself() {
    let folder = Folder::new("full");
    let Opened { store, .. } = open(&folder.store());
    store.keep(row(1));
    store.flush().await.unwrap();
    on_writer(&store, "PRAGMA max_page_count = 1").await;
    refuses(&store, &StoreError::Full).await;
    on_writer(&store, "PRAGMA max_page_count = 1000000").await;
    recovers(&store).await;
}

#[tokio::test]
async fn a_read_only_file_refuses_changes_keeps_amounts_and_is_over_by_itself() {
    let folder = Folder::new("read-only");
    let Opened { store, .. } = open(&folder.store());
    store.keep(row(1));
    store.flush().await.unwrap();
    on_writer(&store, "PRAGMA query_only = on").await;
    refuses(&store, &StoreError::ReadOnly).await;
    on_writer(&store, "PRAGMA query_only = off").await;
    recovers(&store).await;
}

#[tokio::test]
async fn f2_a_file_that_was_taken_away_is_noticed_without_a_write_and_again_when_it_is_back() {
    let folder = Folder::new("gone");
    let Opened { store, .. } = open(&folder.store());
    store.keep(row(1));
    store.flush().await.unwrap();
    let away = folder.path().join("away.db");
    std::fs::rename(folder.store(), &away).unwrap();
    let give_up = Instant::now() + PATIENCE;
    while store.is_writable() {
        assert!(Instant::now() < give_up);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let trouble = store.trouble().unwrap();
    assert!(matches!(&trouble, StoreError::Gone(what) if what.contains("tollgate.db")), "{trouble}");
    refuses(&store, &trouble).await;
    std::fs::write(folder.store(), "").unwrap();
    let other = store.commit(Vec::new(), deed("key:ci")).await.unwrap_err();
    assert!(other.to_string().contains("another file stands at"), "{other}");
    std::fs::rename(&away, folder.store()).unwrap();
    recovers(&store).await;
}

#[tokio::test]
async fn a_store_that_another_program_writes_to_is_busy_and_then_not() {
    let folder = Folder::new("busy");
    let Opened { store, .. } = open(&folder.store());
    store.keep(row(1));
    store.flush().await.unwrap();
    let other = Connection::open(folder.store()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    refuses(&store, &StoreError::Busy).await;
    other.execute_batch("ROLLBACK").unwrap();
    recovers(&store).await;
}

#[tokio::test]
async fn f1_a_place_that_is_not_there_at_the_start_is_waited_for() {
    let folder = Folder::new("late");
    let (place, away) = (folder.path().join("place"), folder.path().join("away"));
    std::fs::create_dir(&place).unwrap();
    let path = place.join("tollgate.db");
    let Opened { store, .. } = open(&path);
    store.commit(vec![key("a", Some("{}"))], deed("key:a")).await.unwrap();
    store.keep(row(1));
    drop(store);
    std::fs::rename(&place, &away).unwrap();
    let Opened { store, entities, late, .. } = open(&path);
    assert!(!store.is_writable() && store.trouble().is_some() && entities.is_empty());
    let refused = store.commit(Vec::new(), deed("key:b")).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Gone(what) if what.contains("tollgate.db")), "{refused}");
    assert!(store.spend(everything()).await.is_err());
    store.keep(row(2));
    std::fs::rename(&away, &place).unwrap();
    let late = tokio::task::spawn_blocking(move || late.unwrap().recv().unwrap()).await.unwrap();
    assert_eq!(late, [key("a", Some("{}"))]);
    becomes_writable(&store).await;
    assert!(store.take_books().is_some());
    assert_eq!(store.spend(everything()).await.unwrap()[0].requests.get(), 2);
    store.commit(Vec::new(), deed("key:b")).await.unwrap();
    assert_eq!(store.check_audit().await.unwrap(), Chain::Whole(2));
}

#[test]
fn what_there_is_no_room_for_is_added_up_the_oldest_first() {
    let desk = Desk::default();
    for number in 0..MOST_ROWS as u128 + 100 {
        desk.put(row(number));
    }
    assert_eq!(desk.dropped(), 100);
    let batch = desk.take(Instant::now(), Rows::HeldBack);
    assert_eq!(batch.rows[0].id, RequestId(100));
    let kept = batch.rows.len() as u64;
    desk.put_back(batch.rows, batch.spilled, batch.noted);
    let again = desk.take(Instant::now(), Rows::HeldBack);
    assert_eq!(again.rows[0].id, RequestId(100));
    assert_eq!(again.rows.len() as u64, kept);

    let connection = super::super::schema::writer(None).unwrap();
    again.spilled.write(&connection).unwrap();
    let counted: i64 = connection
        .query_row("SELECT sum(requests) FROM spend WHERE facet < 4", [], |row| row.get(0))
        .unwrap();
    assert_eq!(counted, 100);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn e3_each_change_of_state_is_one_line_in_the_log() {
    let lines = Lines::default();
    let its = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || its.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let health = Health::default();
        for outcome in [Ok(()), Err(StoreError::Full), Err(StoreError::Busy), Ok(())] {
            for _ in 0..1000 {
                health.learn(&outcome);
            }
        }
    });
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.lines().count(), 3, "{log}");
}
