//! What other gateways have spent, as they tell it, and what of this one's spend they are to be told.
//!
//! ```text
//!   requests ─▶ spend ─▶ untold ─▶ told to the others
//!                 │
//!   /api/spend ◀──┴── elsewhere ◀─ heard of the others
//! ```
//! 1. That a line is untold is written in one transaction with the line.
//! 2. A line is told as it is by now, and not what was added: to tell or hear one twice changes nothing.
//! 3. What was heard and how far are one transaction.
//! 4. A store has one name among those that share, which is in it: whoever has the lines has the name. So
//!    nobody's lines are heard as another's too.

use super::Store;
use super::desk::{Job, Order};
use super::rollup::{Amounts, Cell, values};
use super::row::{int, uint};
use super::trouble::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use tokio::sync::oneshot;
use tollgate_core::units::Millis;

/// How old what is told may be, should all be told anew.
const OLDEST: Millis = Millis::from_secs(400 * 86_400);

const CELL: &str = "facet, day, organisation, team, user, key, provider, model, end_user, tag";

/// How far a store has come in hearing and telling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearsay {
    /// What the store is called.
    pub name: String,
    /// Up to where the others were heard.
    pub heard: Place,
    /// The epoch that has been told everything that is not untold.
    pub told: Option<String>,
}

/// How far something in Redis has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Since it last began anew.
    pub epoch: String,
    /// The number of the last change that was read.
    pub number: u64,
}

/// A line of spend, as it is told: JSON arrays of what it is of, and of its amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is of.
    pub cell: String,
    /// How much.
    pub amounts: String,
}

/// A line that is to be told.
#[derive(Clone, Debug)]
pub struct Untold {
    /// As it is now.
    pub line: Line,
    cell: Cell,
    turn: i64,
}

/// A line of another gateway.
#[derive(Clone, Debug)]
pub struct Heard {
    origin: String,
    cell: Cell,
    amounts: Amounts,
}

type CellFields = (i64, u8, String, String, String, String, String, String, String, String);

impl Line {
    fn of(cell: &Cell, amounts: &Amounts) -> Option<Self> {
        let Cell { facet, day, organisation, team, user, key, provider, model, end_user, tag } = cell;
        let cell = (day, facet, organisation, team, user, key, provider, model, end_user, tag);
        let Amounts { requests, failed, unpriced, input, cached, output, cost } = amounts;
        let amounts = [requests, failed, unpriced, input, cached, output, cost];
        Some(Self {
            cell: serde_json::to_string(&cell).ok()?,
            amounts: serde_json::to_string(&amounts).ok()?,
        })
    }
}

impl Heard {
    /// Reads a line of another gateway. The error says what is wrong, without what stands there.
    pub fn read(origin: &str, cell: &str, amounts: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("a line of {origin}: {what}");
        let cell: CellFields =
            serde_json::from_str(cell).map_err(|_| wrong("expected [day, facet, and eight texts]"))?;
        let amounts: [u64; 7] = serde_json::from_str(amounts).map_err(|_| wrong("expected seven amounts"))?;
        let (day, facet, organisation, team, user, key, provider, model, end_user, tag) = cell;
        let [requests, failed, unpriced, input, cached, output, cost] = amounts;
        Ok(Self {
            origin: origin.to_owned(),
            cell: Cell { facet, day, organisation, team, user, key, provider, model, end_user, tag },
            amounts: Amounts { requests, failed, unpriced, input, cached, output, cost },
        })
    }
}

impl Store {
    /// How far it has come. From now on it notes what is to be told; `drawn` becomes its name if it has none.
    pub async fn hearsay(&self, drawn: &str) -> Result<Hearsay, StoreError> {
        let drawn = drawn.to_owned();
        self.writes_now(move |connection| hearsay(connection, &drawn)).await
    }

    /// Nobody is to be told any more. Should somebody be again, it is told everything.
    pub async fn end_hearsay(&self) -> Result<(), StoreError> {
        let ended = "DELETE FROM untold; DELETE FROM hearsay WHERE what IN ('telling', 'told')";
        self.writes_now(move |connection| connection.execute_batch(ended)).await
    }

    /// What was told is lost, and what was heard may be read anew.
    pub async fn hear_anew(&self, place: Place) -> Result<(), StoreError> {
        self.writes_now(move |connection| {
            connection.execute("DELETE FROM hearsay WHERE what = 'told'", [])?;
            note(connection, "heard", &place)
        })
        .await
    }

    /// Takes up lines of others, up to a place.
    pub async fn hear(&self, lines: Vec<Heard>, place: Place) -> Result<(), StoreError> {
        self.writes_now(move |connection| {
            lines.iter().try_for_each(|line| take_up(connection, line))?;
            note(connection, "heard", &place)
        })
        .await
    }

    /// Lines that are to be told, the longest untold first.
    pub async fn untold(&self, most: u32) -> Result<Vec<Untold>, StoreError> {
        self.read(move |connection| untold(connection, most)).await
    }

    /// They were told. What has changed meanwhile is untold again.
    pub async fn told(&self, lines: Vec<Untold>) -> Result<(), StoreError> {
        self.writes_now(move |connection| lines.iter().try_for_each(|line| forget(connection, line))).await
    }

    /// Everything is untold; once it is all told, `epoch` will know it. A day at a time, so that nobody
    /// waits for long.
    pub async fn tell_all(&self, epoch: String) -> Result<(), StoreError> {
        let mut day = int((self.now() - OLDEST).0 / super::rollup::DAY);
        loop {
            let next = self.writes_now(move |connection| mark_day(connection, day)).await?;
            let Some(next) = next else { break };
            day = next;
        }
        let told = Place { epoch, number: 0 };
        self.writes_now(move |connection| note(connection, "told", &told)).await
    }

    /// One transaction of the writer's, at once.
    async fn writes_now<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        if let Some(trouble) = self.trouble() {
            return Err(trouble);
        }
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection: Result<&Connection, StoreError>| {
            let done = connection.and_then(|connection| {
                let transaction = connection.unchecked_transaction()?;
                let done = act(&transaction)?;
                transaction.commit()?;
                Ok(done)
            });
            // Whoever does not wait any more does not want to know.
            let _ = reply.send(done);
        });
        self.desk.order(Order::Read { job })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::stopped()))
    }
}

fn hearsay(connection: &Connection, drawn: &str) -> Result<Hearsay, rusqlite::Error> {
    let mut draw = connection.prepare_cached("INSERT OR IGNORE INTO hearsay VALUES (?, ?, 0)")?;
    draw.execute(params!["name", drawn])?;
    draw.execute(params!["telling", ""])?;
    let name = place(connection, "name")?.unwrap_or_default().epoch;
    let heard = place(connection, "heard")?.unwrap_or_default();
    Ok(Hearsay { name, heard, told: place(connection, "told")?.map(|told| told.epoch) })
}

fn place(connection: &Connection, what: &str) -> Result<Option<Place>, rusqlite::Error> {
    let mut found = connection.prepare_cached("SELECT word, number FROM hearsay WHERE what = ?")?;
    found.query_row([what], |row| Ok(Place { epoch: row.get(0)?, number: uint(row.get(1)?) })).optional()
}

fn note(connection: &Connection, what: &str, place: &Place) -> Result<(), rusqlite::Error> {
    let mut note = connection.prepare_cached("INSERT OR REPLACE INTO hearsay VALUES (?, ?, ?)")?;
    note.execute(params![what, place.epoch, int(place.number)]).map(drop)
}

/// Lines of `spend` change: if anybody is told, they are untold from here on.
pub(super) fn mark<'a>(
    connection: &Connection,
    cells: impl Iterator<Item = &'a Cell>,
) -> Result<(), rusqlite::Error> {
    if !connection.prepare_cached("SELECT 1 FROM hearsay WHERE what = 'telling'")?.exists([])? {
        return Ok(());
    }
    let turn = turn(connection)?;
    let sql = "INSERT INTO untold VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET turn = excluded.turn";
    let mut mark = connection.prepare_cached(sql)?;
    for cell in cells {
        let turn: [&dyn ToSql; 1] = [&turn];
        mark.execute(params_from_iter(cell.columns().into_iter().chain(turn)))?;
    }
    Ok(())
}

/// Another than that of any line that is untold: also than that of one that is being told.
fn turn(connection: &Connection) -> Result<i64, rusqlite::Error> {
    let mut latest = connection.prepare_cached("SELECT coalesce(max(turn), 0) + 1 FROM untold")?;
    latest.query_row([], |row| row.get(0))
}

/// Makes all of the first day after this one untold, and says which that is.
fn mark_day(connection: &Connection, after: i64) -> Result<Option<i64>, rusqlite::Error> {
    let of_facet = |facet| format!("SELECT min(day) AS day FROM spend WHERE facet = {facet} AND day > ?1");
    let facets: Vec<String> = (0..=3).map(of_facet).collect();
    let first = format!("SELECT min(day) FROM ({})", facets.join(" UNION ALL "));
    let day: Option<i64> = connection.prepare_cached(&first)?.query_row([after], |row| row.get(0))?;
    let Some(day) = day else { return Ok(None) };
    let turn = turn(connection)?;
    let sql = format!(
        "INSERT OR IGNORE INTO untold SELECT {CELL}, ?2 FROM spend WHERE facet BETWEEN 0 AND 8 AND day = ?1"
    );
    connection.prepare_cached(&sql)?.execute([day, turn])?;
    Ok(Some(day))
}

fn untold(connection: &Connection, most: u32) -> Result<Vec<Untold>, rusqlite::Error> {
    let sql = format!(
        "SELECT {CELL}, requests, failed, unpriced, input, cached, output, cost, turn
            FROM untold CROSS JOIN spend USING ({CELL}) ORDER BY turn LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let lines = statement.query_map([most], |row| {
        let (cell, amounts) = (cell(row)?, amounts(row)?);
        let turn = row.get("turn")?;
        Ok(Line::of(&cell, &amounts).map(|line| Untold { line, cell, turn }))
    })?;
    lines.filter_map(Result::transpose).collect()
}

fn cell(row: &Row<'_>) -> Result<Cell, rusqlite::Error> {
    Ok(Cell {
        facet: row.get("facet")?,
        day: row.get("day")?,
        organisation: row.get("organisation")?,
        team: row.get("team")?,
        user: row.get("user")?,
        key: row.get("key")?,
        provider: row.get("provider")?,
        model: row.get("model")?,
        end_user: row.get("end_user")?,
        tag: row.get("tag")?,
    })
}

fn amounts(row: &Row<'_>) -> Result<Amounts, rusqlite::Error> {
    let amount = |name| Ok::<_, rusqlite::Error>(uint(row.get(name)?));
    Ok(Amounts {
        requests: amount("requests")?,
        failed: amount("failed")?,
        unpriced: amount("unpriced")?,
        input: amount("input")?,
        cached: amount("cached")?,
        output: amount("output")?,
        cost: amount("cost")?,
    })
}

fn forget(connection: &Connection, line: &Untold) -> Result<(), rusqlite::Error> {
    let sql = format!("DELETE FROM untold WHERE ({CELL}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND turn = ?");
    let turn: [&dyn ToSql; 1] = [&line.turn];
    let mut forget = connection.prepare_cached(&sql)?;
    forget.execute(params_from_iter(line.cell.columns().into_iter().chain(turn))).map(drop)
}

fn take_up(connection: &Connection, line: &Heard) -> Result<(), rusqlite::Error> {
    let Heard { origin, cell, amounts } = line;
    let sql = "INSERT INTO elsewhere VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET requests = excluded.requests, failed = excluded.failed,
            unpriced = excluded.unpriced, input = excluded.input, cached = excluded.cached,
            output = excluded.output, cost = excluded.cost";
    let (origin, amounts): ([&dyn ToSql; 1], _) = ([origin], amounts.columns());
    let all = cell.columns().into_iter().chain(origin).chain(values(&amounts));
    connection.prepare_cached(sql)?.execute(params_from_iter(all)).map(drop)
}
