//! The memories of the segments that are being decoded, laid out so that a run takes them without a copy.

use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorRef};

use crate::keyword::acoustic_model::Lane;
use crate::runtime::onnx::OnnxError;

/// Moonshine tiny-en's decoder: layers, heads and numbers per head.
pub const LAYERS: usize = 6;
const HEADS: usize = 8;
const HEAD_SIZE: usize = 36;
/// Keys and values of each layer.
const TENSORS: usize = 2 * LAYERS;

/// Keys and values by layer: f32 [rows, 8, room, 36] each, as many entries in use as each row says.
#[derive(Debug)]
struct Memory {
    /// Names of the graph's inputs.
    names: Vec<String>,
    room: usize,
    tensors: Vec<Vec<f32>>,
}

/// One segment that is being decoded.
#[derive(Clone, Copy, Debug)]
struct Row {
    lane: Lane,
    /// Entries of its memory.
    tokens: usize,
    /// Frames of its audio.
    frames: usize,
}

/// All of them. A row is one segment's place in every tensor; those of one run are moved to follow each other.
#[derive(Debug)]
pub struct DecoderLanes {
    lanes: usize,
    rows: Vec<Row>,
    tokens: Memory,
    audio: Memory,
}

impl Memory {
    fn new(part: &str, lanes: usize, room: usize) -> Self {
        let name = |layer: usize| ["key", "value"].map(|what| format!("{part}.{layer}.{what}"));
        let names = (0..LAYERS).flat_map(name).collect();
        let tensors = vec![vec![0.0; lanes * HEADS * room * HEAD_SIZE]; TENSORS];
        Self { names, room, tensors }
    }

    fn row(&self) -> usize {
        HEADS * self.room * HEAD_SIZE
    }

    fn swap(&mut self, one: usize, other: usize) {
        let (size, low, high) = (self.row(), one.min(other), one.max(other));
        for tensor in &mut self.tensors {
            let (before, from) = tensor.split_at_mut(high * size);
            before[low * size..][..size].swap_with_slice(&mut from[..size]);
        }
    }

    /// Writes `entries` of `new`, f32 [8, entries, 36], into a tensor's row behind the `known` ones.
    fn write(&mut self, tensor: usize, row: usize, known: usize, new: &[f32]) {
        let (size, room) = (self.row(), self.room);
        let heads = new.chunks_exact(new.len() / HEADS);
        let places = self.tensors[tensor][row * size..][..size].chunks_exact_mut(room * HEAD_SIZE);
        for (head, place) in heads.zip(places) {
            place[known * HEAD_SIZE..][..head.len()].copy_from_slice(head);
        }
    }

    /// The graph's inputs for `count` rows from `first` on.
    fn inputs<'a>(
        &'a self,
        first: usize,
        count: usize,
        inputs: &mut Vec<(&'a str, SessionInputValue<'a>)>,
    ) -> Result<(), OnnxError> {
        let shape = [count, HEADS, self.room, HEAD_SIZE];
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
            let rows = &tensor[first * self.row()..][..count * self.row()];
            inputs.push((name, TensorRef::from_array_view((shape, rows))?.into()));
        }
        Ok(())
    }
}

impl DecoderLanes {
    /// Room for `lanes` segments of `frames` frames, and `tokens` of each.
    pub fn new(lanes: usize, frames: usize, tokens: usize) -> Self {
        let (tokens, audio) =
            (Memory::new("self", lanes, tokens), Memory::new("cross", lanes, frames));
        Self { lanes, rows: Vec::with_capacity(lanes), tokens, audio }
    }

    /// How many there may be.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Entries that each row has room for: of tokens, of frames.
    pub fn room(&self) -> (usize, usize) {
        (self.tokens.room, self.audio.room)
    }

    /// A new segment of `frames`; `audio` are the keys and values of its frames by layer, f32 [1, 8, frames, 36]
    /// each. No segment is longer than there is room for.
    pub fn open(&mut self, frames: usize, audio: &[DynValue]) -> Result<Lane, OnnxError> {
        assert!(frames <= self.audio.room, "a segment of {frames} frames");
        let free = |lane: &Lane| self.rows.iter().all(|row| row.lane != *lane);
        let lane = (0..self.lanes).map(Lane).find(free).expect("a lane is free");
        for (tensor, entries) in audio.iter().enumerate() {
            let (_, entries) = entries.try_extract_tensor::<f32>()?;
            self.audio.write(tensor, self.rows.len(), 0, entries);
        }
        self.rows.push(Row { lane, tokens: 0, frames });
        Ok(lane)
    }

    /// The segment is done with.
    pub fn close(&mut self, lane: Lane) {
        let (row, last) = (self.row(lane), self.rows.len() - 1);
        self.swap(row, last);
        self.rows.pop();
    }

    /// The row of a lane.
    pub fn row(&self, lane: Lane) -> usize {
        self.rows.iter().position(|row| row.lane == lane).expect("an open lane")
    }

    /// Moves the lanes to the first rows, in their order.
    pub fn gather(&mut self, lanes: impl Iterator<Item = Lane>) {
        for (place, lane) in lanes.enumerate() {
            self.swap(self.row(lane), place);
        }
    }

    /// Entries in a row: of tokens, of frames.
    pub fn length(&self, row: usize) -> (usize, usize) {
        (self.rows[row].tokens, self.rows[row].frames)
    }

    /// The graph's inputs for `count` rows from `first` on.
    pub fn inputs(
        &self,
        first: usize,
        count: usize,
    ) -> Result<Vec<(&str, SessionInputValue<'_>)>, OnnxError> {
        let mut inputs = Vec::with_capacity(2 * TENSORS + 4);
        self.tokens.inputs(first, count, &mut inputs)?;
        self.audio.inputs(first, count, &mut inputs)?;
        Ok(inputs)
    }

    /// One more token of each of the first rows: keys and values by layer, f32 [rows, 8, 1, 36] each.
    pub fn remember(&mut self, rows: usize, new: &[DynValue]) -> Result<(), OnnxError> {
        for (tensor, entries) in new.iter().enumerate() {
            let (_, entries) = entries.try_extract_tensor::<f32>()?;
            for (row, entry) in entries.chunks_exact(entries.len() / rows).enumerate() {
                self.tokens.write(tensor, row, self.rows[row].tokens, entry);
            }
        }
        for row in &mut self.rows[..rows] {
            row.tokens += 1;
        }
        Ok(())
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one != other {
            self.tokens.swap(one, other);
            self.audio.swap(one, other);
            self.rows.swap(one, other);
        }
    }
}
