//! Any voice embedding in ONNX, loaded and driven by its card.

use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use crate::audio::front_end::{FrontEnd, Settings};
use crate::runtime::embedder_card::EmbedderCard;
use crate::runtime::models::{self, Model};
use crate::runtime::onnx::{OnnxError, Runtime, spelt};
use crate::speaker::embedder::Embedder;

/// A speaker model and what comes before it.
#[derive(Debug)]
pub struct SpeakerModel {
    name: String,
    session: Session,
    front_end: FrontEnd,
    asked: Asked,
    /// Numbers in an embedding.
    embedding: usize,
    /// The window that the card names, in samples.
    window: usize,
}

/// How the graph is asked.
#[derive(Debug)]
struct Asked {
    /// The input for the features.
    features: String,
    /// Its dimensions: 2 for [batch, rows], 3 for [batch, rows, columns] or [batch, 1, samples].
    rank: usize,
    /// Rows that it takes, where it does not take any number.
    rows: Option<usize>,
    /// Which rows count, [batch, rows]: 1 keeps, 0 drops.
    mask: Option<String>,
    /// The output that holds the embeddings.
    output: String,
    /// Windows in one run; one where the graph was made for one.
    most: usize,
}

/// An input or output of the graph.
#[derive(Debug)]
pub(super) struct End {
    pub(super) name: String,
    /// A size for each dimension; `None` is any.
    shape: Vec<Option<usize>>,
}

impl SpeakerModel {
    /// Loads the first file of the card `model` from `store`. The graph's inputs and outputs must be the
    /// card's in name, type and shape, and must take what its front-end makes of its window.
    pub fn load(runtime: &Runtime, store: &Path, model: &Model) -> Result<Self, OnnxError> {
        let file = &model.files[0];
        let path = store.join(&file.path);
        let session = runtime.session(&path)?;
        let card = model.embedder.as_ref();
        let checked =
            card.ok_or_else(|| "it has no [model.embedder]".to_owned()).and_then(|card| {
                let inputs = same(session.inputs(), &file.inputs, "input")?;
                let outputs = same(session.outputs(), &file.outputs, "output")?;
                Ok((card, checked(card, inputs, outputs)?))
            });
        let (card, asked) = checked.map_err(|reason| OnnxError::Card { path, reason })?;
        Ok(Self {
            name: model.name.clone(),
            front_end: FrontEnd::new(card.front_end),
            embedding: card.embedding,
            window: card.window_samples(),
            session,
            asked,
        })
    }

    /// The window that it was made for, samples at 16 kHz.
    pub fn window(&self) -> usize {
        self.window
    }

    /// One run: windows of one length, no more than the graph takes at once.
    fn run(&mut self, windows: &[&[f32]]) -> Result<Vec<Vec<f32>>, OnnxError> {
        let (samples, settings) = (windows[0].len(), *self.front_end.settings());
        let rows = settings.rows(samples);
        if rows == 0 || self.asked.rows.is_some_and(|wanted| wanted != rows) {
            return Err(OnnxError::Window { wanted: self.window, found: samples });
        }
        let mut features = Vec::with_capacity(windows.len() * rows * settings.columns());
        for window in windows {
            self.front_end.compute(window, &mut features);
        }
        self.embed_features(features, windows.len())
    }

    /// The raw embeddings of what a front-end made of `batch` windows, [batch, rows, columns].
    pub fn embed_features(
        &mut self,
        features: Vec<f32>,
        batch: usize,
    ) -> Result<Vec<Vec<f32>>, OnnxError> {
        let (asked, settings) = (&self.asked, self.front_end.settings());
        if batch == 0 {
            return Ok(Vec::new());
        }
        let columns = settings.columns();
        let rows = features.len() / batch / columns;
        let features = match (asked.rank, settings) {
            (2, _) => Tensor::from_array(([batch, rows], features))?,
            (_, Settings::Waveform {}) => Tensor::from_array(([batch, 1, rows], features))?,
            _ => Tensor::from_array(([batch, rows, columns], features))?,
        };
        let mut inputs = ort::inputs! { asked.features.as_str() => features };
        if let Some(mask) = &asked.mask {
            // The window holds speech only.
            let all = Tensor::from_array(([batch, rows], vec![1.0_f32; batch * rows]))?;
            inputs.push((mask.as_str().into(), all.into()));
        }
        let outputs = self.session.run(inputs)?;
        let missing = || OnnxError::NoOutput(asked.output.clone());
        let output = outputs.get(&asked.output).ok_or_else(missing)?;
        let (shape, numbers) = output.try_extract_tensor::<f32>()?;
        let refuse = |reason: String| OnnxError::Output {
            model: self.name.clone(),
            output: asked.output.clone(),
            reason,
        };
        if shape.first() != Some(&(batch as i64)) || numbers.len() != batch * self.embedding {
            let wanted = self.embedding;
            return Err(refuse(format!("has shape {}, not [{batch}, {wanted}]", spelt(shape))));
        }
        if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
            return Err(refuse(format!("holds {number}")));
        }
        Ok(numbers.chunks_exact(self.embedding).map(<[f32]>::to_vec).collect())
    }
}

impl Embedder for SpeakerModel {
    type Error = OnnxError;

    fn embed(&mut self, windows: &[&[f32]]) -> Result<Vec<Vec<f32>>, OnnxError> {
        let wanted = windows.first().map_or(0, |window| window.len());
        if let Some(other) = windows.iter().find(|window| window.len() != wanted) {
            return Err(OnnxError::Window { wanted, found: other.len() });
        }
        let mut embeddings = Vec::with_capacity(windows.len());
        for batch in windows.chunks(self.asked.most) {
            embeddings.append(&mut self.run(batch)?);
        }
        Ok(embeddings)
    }
}

/// The graph's inputs or outputs in the card's order, if they are the card's.
pub(super) fn same(
    graph: &[Outlet],
    card: &[models::Tensor],
    what: &str,
) -> Result<Vec<End>, String> {
    if let Some(more) = graph.iter().find(|has| card.iter().all(|told| told.name != has.name())) {
        // An output that nobody wants is no harm.
        if what == "input" {
            return Err(format!("the graph wants an input {} besides", more.name()));
        }
    }
    card.iter()
        .map(|told| {
            let names = || graph.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
            let has = graph.iter().find(|has| has.name() == told.name);
            let has = has.ok_or_else(|| {
                format!("the graph has no {what} {}, only {}", told.name, names())
            })?;
            let wanted = format!("{} [{}]", told.element, told.shape.join(", "));
            let other =
                |found: String| format!("{what} {} is {found}, and {wanted} was wanted", told.name);
            let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = has.dtype()
            else {
                return Err(other(format!("{}", has.dtype())));
            };
            let sizes: Vec<_> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
            // A size that the card names must be the graph's, where the graph has one.
            let agree = |(told, has): (&String, &Option<usize>)| match (told.parse::<usize>(), has)
            {
                (Ok(told), Some(has)) => told == *has,
                _ => true,
            };
            let alike = told.element == "f32"
                && told.shape.len() == sizes.len()
                && told.shape.iter().zip(&sizes).all(agree);
            if !alike {
                return Err(other(format!("f32 {}", spelt(shape))));
            }
            Ok(End { name: told.name.clone(), shape: sizes })
        })
        .collect()
}

/// How the graph is asked, if what it takes and gives is what the card's front-end makes and wants.
fn checked(card: &EmbedderCard, inputs: Vec<End>, outputs: Vec<End>) -> Result<Asked, String> {
    let mut inputs = inputs.into_iter();
    let (Some(features), mask, None) = (inputs.next(), inputs.next(), inputs.next()) else {
        return Err("one input for the features was wanted, and at most one for their mask".into());
    };
    let Some(output) = outputs.into_iter().next() else {
        return Err("one output for the embedding was wanted".into());
    };
    let (rows, columns) = (card.front_end.rows(card.window_samples()), card.front_end.columns());
    match (card.front_end, features.shape.len()) {
        (Settings::Waveform {}, 3) => features.takes(&[1, rows])?,
        (Settings::Waveform {}, _) => features.takes(&[rows])?,
        _ => features.takes(&[rows, columns])?,
    }
    if let Some(mask) = &mask {
        mask.takes(&[rows])?;
    }
    let size = output.shape.last().copied().flatten();
    if let Some(size) = size.filter(|size| *size != card.embedding) {
        let (name, wanted) = (output.name, card.embedding);
        return Err(format!("output {name} has {size} numbers, and {wanted} were wanted"));
    }
    let all = [Some(&features), mask.as_ref(), Some(&output)];
    let batches = all.into_iter().flatten().filter_map(|end| end.shape.first().copied().flatten());
    let most = match batches.max() {
        None => usize::MAX,
        Some(1) => 1,
        Some(n) => return Err(format!("it takes {n} windows at once, and 1 or any was wanted")),
    };
    Ok(Asked {
        rank: features.shape.len(),
        rows: match card.front_end {
            Settings::Waveform {} => features.shape.last(),
            Settings::KaldiFbank(_) | Settings::Ge2eMel {} => features.shape.get(1),
        }
        .copied()
        .flatten(),
        features: features.name,
        mask: mask.map(|mask| mask.name),
        output: output.name,
        most,
    })
}

impl End {
    /// Whether it has or takes [batch, `wanted`]; the error is how it is, and how it was wanted.
    pub(super) fn fits(&self, wanted: &[usize]) -> Result<(), (String, String)> {
        let mut sizes = self.shape.iter().skip(1).zip(wanted);
        if self.shape.len() == wanted.len() + 1
            && sizes.all(|(size, wanted)| size.is_none_or(|size| size == *wanted))
        {
            return Ok(());
        }
        let size = |size: &Option<usize>| size.map_or(-1, |size| size as i64);
        let found = spelt(&self.shape.iter().map(size).collect::<Vec<_>>());
        let wanted = wanted.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        Err((found, format!("[any, {wanted}]")))
    }

    /// Whether it takes what the front-end gives, [batch, `wanted`].
    fn takes(&self, wanted: &[usize]) -> Result<(), String> {
        let name = &self.name;
        self.fits(wanted).map_err(|(found, wanted)| {
            format!("input {name} takes {found}, and the front-end gives {wanted}")
        })
    }
}
