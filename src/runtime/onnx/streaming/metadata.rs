//! What an encoder says of itself: its kind, how it takes its features, and the shape of each of its states.

/// An encoder's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Frames of 10 ms that it takes at once (`T`).
    pub frames: usize,
    /// Frames that it moves on by (`decode_chunk_len`).
    pub shift: usize,
    /// Its states for one stream, in the order in which it takes them.
    pub states: Vec<StateShape>,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateShape {
    /// Numbers.
    Floats(Vec<usize>),
    /// Counts.
    Integers(Vec<usize>),
}

/// Why an encoder cannot be driven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// ONNX Runtime has none.
    #[error("the file has no metadata")]
    None,
    /// A kind that we do not know the states of.
    #[error("its model_type is {found:?}, and zipformer2 and lstm are supported")]
    Kind {
        /// What it says.
        found: String,
    },
    /// A key that its kind needs.
    #[error("its metadata has no {0}")]
    Missing(&'static str),
    /// Not a number, or none that makes sense.
    #[error("its {key} is {found:?}, and {wanted} was wanted")]
    Number {
        /// Which key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        wanted: String,
    },
    /// The graph takes others than its metadata says.
    #[error("it has {found} inputs, and {wanted} were wanted")]
    Inputs {
        /// Of its kind and metadata.
        wanted: usize,
        /// Of the graph.
        found: usize,
    },
    /// The graph's state has another shape than its metadata says.
    #[error("its input {input} is {found}, and its metadata wants {wanted}")]
    State {
        /// The state's name in the graph.
        input: String,
        /// Shape by the metadata.
        wanted: String,
        /// Shape by the graph.
        found: String,
    },
    /// It does not say how many pieces it tells apart.
    #[error("its first output has no fixed number of columns")]
    Columns,
}

/// The text of a key.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A positive whole number.
pub fn number(get: &Lookup<'_>, key: &'static str) -> Result<usize, MetadataError> {
    match numbers(get, key, None)?[..] {
        [one] => Ok(one),
        _ => Err(wrong(get, key, "one number above 0".to_owned())),
    }
}

/// Positive whole numbers with commas between; `count` of them, where that is known.
fn numbers(
    get: &Lookup<'_>,
    key: &'static str,
    count: Option<usize>,
) -> Result<Vec<usize>, MetadataError> {
    let text = get(key).ok_or(MetadataError::Missing(key))?;
    let read = |part: &str| part.trim().parse().ok().filter(|number| (1..=65_536).contains(number));
    let numbers: Option<Vec<usize>> = text.split(',').map(read).collect();
    numbers.filter(|numbers| count.is_none_or(|count| numbers.len() == count)).ok_or_else(|| {
        let wanted = count.map_or_else(|| "numbers".to_owned(), |count| format!("{count} numbers"));
        wrong(get, key, format!("{wanted} above 0"))
    })
}

fn wrong(get: &Lookup<'_>, key: &'static str, wanted: String) -> MetadataError {
    MetadataError::Number { key, found: get(key).unwrap_or_default(), wanted }
}

impl Metadata {
    /// Reads what `get` finds.
    pub fn read(get: &Lookup<'_>) -> Result<Self, MetadataError> {
        let states = match get("model_type").ok_or(MetadataError::Missing("model_type"))?.as_str() {
            "zipformer2" => zipformer2(get)?,
            "lstm" => lstm(get)?,
            other => return Err(MetadataError::Kind { found: other.to_owned() }),
        };
        let (frames, shift) = (number(get, "T")?, number(get, "decode_chunk_len")?);
        if frames < shift {
            return Err(wrong(get, "T", format!("at least the decode_chunk_len of {shift}")));
        }
        Ok(Self { frames, shift, states })
    }
}

/// Zipformer 2: six states a layer, those of the layers of one stack alike; what the convolutions before them saw, and how
/// many frames there were.
fn zipformer2(get: &Lookup<'_>) -> Result<Vec<StateShape>, MetadataError> {
    let layers = numbers(get, "num_encoder_layers", None)?;
    let of_stack = |key| numbers(get, key, Some(layers.len()));
    let (sizes, kernels) = (of_stack("encoder_dims")?, of_stack("cnn_module_kernels")?);
    let (queries, values) = (of_stack("query_head_dims")?, of_stack("value_head_dims")?);
    let (heads, left) = (of_stack("num_heads")?, of_stack("left_context_len")?);
    let mut states = Vec::new();
    for (stack, &layers) in layers.iter().enumerate() {
        let (size, left) = (sizes[stack], left[stack]);
        let value = vec![left, 1, values[stack] * heads[stack]];
        let convolution = vec![1, size, kernels[stack] / 2];
        let layer = [
            vec![left, 1, queries[stack] * heads[stack]],
            vec![1, 1, left, 3 * size / 4],
            value.clone(),
            value,
            convolution.clone(),
            convolution,
        ];
        for _ in 0..layers {
            states.extend(layer.iter().cloned().map(StateShape::Floats));
        }
    }
    // 128 channels, three frames; 80 bands halved twice.
    states.push(StateShape::Floats(vec![1, 128, 3, 19]));
    states.push(StateShape::Integers(vec![1]));
    Ok(states)
}

/// icefall's LSTM: all layers in one tensor.
fn lstm(get: &Lookup<'_>) -> Result<Vec<StateShape>, MetadataError> {
    let layers = number(get, "num_encoder_layers")?;
    let of = |size| StateShape::Floats(vec![layers, 1, size]);
    Ok(vec![of(number(get, "d_model")?), of(number(get, "rnn_hidden_size")?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZIPFORMER: &[(&str, &str)] = &[
        ("model_type", "zipformer2"),
        ("T", "45"),
        ("decode_chunk_len", "32"),
        ("num_encoder_layers", "2,1"),
        ("encoder_dims", "192,256"),
        ("cnn_module_kernels", "31,15"),
        ("left_context_len", "64,32"),
        ("query_head_dims", "32,32"),
        ("value_head_dims", "12,12"),
        ("num_heads", "4,8"),
    ];

    fn read(pairs: &[(&str, &str)], other: (&str, &str)) -> Result<Metadata, String> {
        let get = |key: &str| {
            let own = (other.0 == key).then_some(&other);
            let pair = own.or_else(|| pairs.iter().find(|pair| pair.0 == key));
            pair.map(|pair| pair.1.to_owned()).filter(|text| !text.is_empty())
        };
        Metadata::read(&get).map_err(|error| error.to_string())
    }

    #[test]
    fn a_zipformer_has_six_states_a_layer_and_two_more() {
        let metadata = read(ZIPFORMER, ("", "")).expect("metadata");
        assert_eq!((metadata.frames, metadata.shift, metadata.states.len()), (45, 32, 3 * 6 + 2));
        assert_eq!(metadata.states[0], StateShape::Floats(vec![64, 1, 128]));
        assert_eq!(metadata.states[13], StateShape::Floats(vec![1, 1, 32, 192]));
        assert_eq!(metadata.states[15], StateShape::Floats(vec![32, 1, 96]));
        assert_eq!(metadata.states[16], StateShape::Floats(vec![1, 256, 7]));
        assert_eq!(metadata.states[18], StateShape::Floats(vec![1, 128, 3, 19]));
        assert_eq!(metadata.states[19], StateShape::Integers(vec![1]));
    }

    #[test]
    fn an_lstm_has_two_states() {
        let pairs = [
            ("model_type", "lstm"),
            ("T", "9"),
            ("decode_chunk_len", "4"),
            ("num_encoder_layers", "12"),
            ("d_model", "512"),
            ("rnn_hidden_size", "1024"),
        ];
        let metadata = read(&pairs, ("", "")).expect("metadata");
        let shapes = [vec![12, 1, 512], vec![12, 1, 1024]].map(StateShape::Floats);
        assert_eq!(metadata.states, shapes);
    }

    #[test]
    fn what_cannot_be_driven_is_refused_in_a_sentence() {
        let refused = |key, value| read(ZIPFORMER, (key, value)).expect_err(value);
        assert_eq!(
            refused("model_type", "wenet_ctc"),
            "its model_type is \"wenet_ctc\", and zipformer2 and lstm are supported"
        );
        assert_eq!(refused("T", ""), "its metadata has no T");
        assert_eq!(refused("T", "x"), "its T is \"x\", and numbers above 0 was wanted");
        assert_eq!(refused("T", "45,4"), "its T is \"45,4\", and one number above 0 was wanted");
        assert_eq!(
            refused("num_heads", "4"),
            "its num_heads is \"4\", and 2 numbers above 0 was wanted"
        );
        assert_eq!(
            refused("T", "30"),
            "its T is \"30\", and at least the decode_chunk_len of 32 was wanted"
        );
    }
}
