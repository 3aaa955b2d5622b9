//! What it takes to read a request and write it for its upstream, in this process: time, and allocations.

use allocation_counter::{AllocationInfo, measure};
use std::hint::black_box;
use std::time::Instant;
use tollgate_core::provider::{self, Target};
use tollgate_core::surface::{self, RequestLine, SurfaceId};
use tollgate_core::vendor;

/// Times it is done; the fastest counts, which nothing has disturbed.
const TIMES: u32 = 30;

/// A request for a model of some provider.
pub(crate) struct Written<'a> {
    pub(crate) surface: SurfaceId,
    pub(crate) body: &'a [u8],
    /// The vendor's name; absent: it passes.
    pub(crate) vendor: Option<&'a str>,
}

/// What one takes.
pub(crate) struct Taken {
    pub(crate) micros: f64,
    pub(crate) allocations: u64,
    /// Bytes of all allocations together.
    pub(crate) bytes: u64,
}

impl Written<'_> {
    /// What is read of every request, and for the upstream of another dialect the call and its body.
    pub(crate) fn measured(&self) -> Result<Taken, String> {
        self.once()?;
        let (mut fastest, mut info) = (f64::INFINITY, AllocationInfo::default());
        for _ in 0..TIMES {
            let begun = Instant::now();
            info = measure(|| drop(black_box(self.once())));
            fastest = fastest.min(begun.elapsed().as_secs_f64() * 1e6);
        }
        Ok(Taken { micros: fastest, allocations: info.count_total, bytes: info.bytes_total })
    }

    fn once(&self) -> Result<usize, String> {
        let surface = surface::of(self.surface);
        let line = RequestLine { model: Some("gpt-sim".to_owned()), ..RequestLine::default() };
        let envelope = surface.envelope(self.body, &line).map_err(|fault| fault.into_parts().message)?;
        let Some(name) = self.vendor else { return Ok(envelope.model.len()) };
        let vendor = vendor::find(name).ok_or_else(|| format!("no vendor {name}"))?;
        let call = surface.parse(self.body, &line).map_err(|fault| fault.into_parts().message)?;
        let target = Target { vendor, model: "gpt-sim" };
        let encoded = provider::encode(&call, &target).map_err(|fault| fault.into_parts().message)?;
        Ok(encoded.body.len())
    }
}
