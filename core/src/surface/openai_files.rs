//! OpenAI's files, and batches of calls in them. They are the provider's: what is sent and answered
//! passes as it came. A file of calls is looked through before it goes there.

use super::raw;
use super::{Answers, Asked, Begun, Bodies, Envelope, RequestLine, Surface};
use crate::batch::Survey;
use crate::count::{Besides, Gauge};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::json::{Kind, Tape};
use crate::multipart;
use bytes::Bytes;

/// Lists, files and batches that there are.
pub static FILES: Files = Files(Asks::Nothing);

/// A new file.
pub static UPLOAD: Files = Files(Asks::File);

/// A new batch.
pub static BATCH: Files = Files(Asks::Batch);

/// What is asked of the provider.
#[derive(Debug)]
pub struct Files(Asks);

#[derive(Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    File,
    Batch,
}

impl Surface for Files {
    fn name(&self) -> &'static str {
        match self.0 {
            Asks::Nothing | Asks::File => "openai-files",
            Asks::Batch => "openai-batches",
        }
    }

    fn dialect(&self) -> Dialect {
        Dialect::OpenAi
    }

    fn bodies(&self) -> Bodies {
        Bodies::Any
    }

    fn answers(&self) -> Answers {
        Answers::Verbatim
    }

    fn envelope(&self, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
        match self.0 {
            Asks::Nothing => Ok(Envelope::bare(String::new())),
            Asks::File => Ok(Envelope::bare(model_of_lines(body, line)?)),
            Asks::Batch => batch_file(body).map(|_| Envelope::bare(String::new())),
        }
    }

    fn inspect(&self, _: &Tape<'_>, _: &RequestLine) -> Result<Envelope, Fault> {
        Err(Fault::new(Code::Bug, "a file was to be read as JSON"))
    }

    fn is_batch(&self) -> bool {
        self.0 == Asks::Batch
    }

    fn prompt_text(&self, _: &[u8], _: &mut dyn FnMut(&str)) -> Besides {
        Besides::default()
    }

    fn fault(&self, fault: &Fault, request_id: &str) -> Bytes {
        raw::of(Dialect::OpenAi).fault(fault, request_id)
    }

    fn fault_event(&self, fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
        raw::of(Dialect::OpenAi).fault_event(fault, asked, begun)
    }
}

/// The model of the calls in a new file that is meant for a batch; of any other file, none.
fn model_of_lines(body: &[u8], line: &RequestLine) -> Result<String, Fault> {
    let label = line.content_type.as_ref().map_or(&[][..], |label| label.as_bytes());
    let parts = multipart::parts(label, body)?;
    let purpose = multipart::one(&parts, "purpose")?.and_then(multipart::Part::text);
    if purpose != Some("batch") {
        return Ok(String::new());
    }
    let file = multipart::one(&parts, "file")?;
    let file = file.ok_or_else(|| Fault::missing_field("file", "a file of JSON lines"))?;
    let mut survey = Survey::default();
    survey.push(file.bytes, &Gauge::default())?;
    Ok(survey.finish(&Gauge::default())?.model)
}

/// The id of the file a batch is made of.
pub fn batch_file(body: &[u8]) -> Result<String, Fault> {
    let tape = Tape::parse(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is not acceptable JSON: {error}")))?;
    let file = tape.root().get("input_file_id").filter(|file| file.kind() == Kind::String);
    let file = file.and_then(super::shape::text).filter(|file| !file.is_empty());
    file.ok_or_else(|| Fault::missing_field("input_file_id", "the id of a file"))
}
