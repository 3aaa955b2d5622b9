//! What the log says of a server.

use std::fmt::Write;
use std::sync::{LazyLock, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

static LINES: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Lines);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    Mutex::default()
});

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::INFO {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            LINES.lock().unwrap().push(line.0);
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

/// From now on lines are gathered.
pub(crate) fn listen() {
    drop(LINES.lock().unwrap());
}

/// The lines that name this port.
pub(crate) fn lines_of(port: u16) -> Vec<String> {
    let port = format!(":{port}");
    LINES.lock().unwrap().iter().filter(|line| line.contains(&port)).cloned().collect()
}
