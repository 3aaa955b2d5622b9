//! What this crate's tests share.

use crate::sql::{Failed, LARGEST, Row, Sql, Value};
use rusqlite::Connection;
use rusqlite::types::{Value as Stored, ValueRef};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tollgate_core::host::Timer;
use tollgate_core::units::Time;

/// The result of a future that need not wait.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

/// Goes up when somebody is woken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flag(Arc<Up>);

#[derive(Debug, Default)]
struct Up(AtomicBool);

impl Wake for Up {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// A timer by which it is always this time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sundial(pub(crate) Time);

impl Timer for Sundial {
    fn poll_until(&mut self, at: Time, _: &mut Context<'_>) -> Poll<()> {
        if at <= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// SQLite as platforms have it: one statement, a hundred parameters, no large numbers.
#[derive(Clone, Debug)]
pub(crate) struct Lite {
    connection: Rc<Connection>,
    /// So many statements more; then it takes none.
    pub(crate) patience: Rc<Cell<u64>>,
}

impl Default for Lite {
    fn default() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        Self { connection: Rc::new(connection), patience: Rc::new(Cell::new(u64::MAX)) }
    }
}

impl Sql for Lite {
    async fn run(&self, text: &str, values: Vec<Value>) -> Result<Vec<Row>, Failed> {
        assert!(values.len() <= 100, "{} parameters", values.len());
        let left = self.patience.get();
        self.patience.set(left.saturating_sub(1));
        if left == 0 {
            return Err(Failed("it is gone".to_owned()));
        }
        let values = values.into_iter().map(|value| match value {
            Value::Null => Stored::Null,
            Value::Integer(number) => {
                assert!(number.abs() <= LARGEST);
                Stored::Integer(number)
            }
            Value::Text(text) => Stored::Text(text),
            Value::Blob(bytes) => Stored::Blob(bytes),
        });
        let failed = |error: rusqlite::Error| Failed(error.to_string());
        let mut statement = self.connection.prepare(text).map_err(failed)?;
        let columns = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            (0..columns).map(|place| row.get_ref(place).map(told)).collect::<Result<Row, _>>()
        });
        rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    }
}

fn told(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => {
            assert!(number.abs() <= LARGEST, "{number}");
            Value::Integer(number)
        }
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Real(number) => panic!("{number} is not whole"),
    }
}
