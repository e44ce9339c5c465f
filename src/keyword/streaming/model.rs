//! What the streaming search asks of a model: an encoder with states, and a transducer's other two parts.

/// How a model takes its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Frames of 10 ms that it takes at once.
    pub frames: usize,
    /// Frames that it moves on by; the rest it looks ahead, and is given again.
    pub shift: usize,
    /// Word pieces that it tells apart.
    pub vocabulary: usize,
}

/// An encoder that hears chunk by chunk.
///
/// All it remembers lies in a state that the caller keeps: one model serves as many streams as there are states.
pub trait StreamingModel {
    /// Why a run failed. The segment is dropped and counted; the call goes on.
    type Error: std::error::Error + Send + Sync + 'static;
    /// What is remembered of one stream.
    type State;

    /// How it takes its features.
    fn chunk(&self) -> Chunk;

    /// What is remembered of nothing.
    fn begin(&self) -> Result<Self::State, Self::Error>;

    /// Hears `features`, [[`Chunk::frames`], bands]; gives rows that each stand for as many frames: of a transducer what
    /// its joiner takes, of a CTC model the natural log of each piece's probability.
    fn encode(
        &mut self,
        features: &[f32],
        state: &mut Self::State,
    ) -> Result<Vec<Vec<f32>>, Self::Error>;
}

/// A model whose next piece depends on those before it.
pub trait Transducer: StreamingModel {
    /// Pieces that the next one depends on.
    fn context(&self) -> usize;

    /// What the joiner takes of the last pieces, one for each of [`Self::context`]; -1 stands for none.
    fn predict(&mut self, pieces: &[i64]) -> Result<Vec<f32>, Self::Error>;

    /// Logits, [predictions, [`Chunk::vocabulary`]], of a row of [`StreamingModel::encode`] with each prediction.
    fn join(&mut self, row: &[f32], predictions: &[&[f32]]) -> Result<Vec<f32>, Self::Error>;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a script does not fail")]
    pub(crate) struct Never;

    /// Reads what it "hears" from its features: the first band of every fourth frame is the piece that is said there.
    #[derive(Debug, Default)]
    pub(crate) struct Script {
        pub(crate) predictions: usize,
    }

    pub(crate) const PIECES: usize = 12;

    /// Logits that give `piece` a probability of some .9 and leave the blank the rest.
    pub(crate) fn saying(piece: usize) -> Vec<f32> {
        let mut logits = vec![-20.0; PIECES];
        logits[0] = 0.0;
        logits[piece] = 2.2;
        logits
    }

    /// Logits that leave no doubt of `piece`.
    pub(crate) fn surely(piece: usize) -> Vec<f32> {
        let mut logits = vec![-20.0; PIECES];
        logits[piece] = 2.2;
        logits
    }

    impl StreamingModel for Script {
        type Error = Never;
        type State = usize;

        fn chunk(&self) -> Chunk {
            Chunk { frames: 45, shift: 32, vocabulary: PIECES }
        }

        fn begin(&self) -> Result<usize, Never> {
            Ok(0)
        }

        fn encode(&mut self, _: &[f32], chunks: &mut usize) -> Result<Vec<Vec<f32>>, Never> {
            *chunks += 1;
            // Pieces 5 and 6 in the first chunk, and nothing in any other.
            let said = |row| if *chunks > 1 { 0 } else { [0, 0, 5, 0, 0, 6, 0, 0][row] };
            Ok((0..8).map(|row| saying(said(row))).collect())
        }
    }

    impl Transducer for Script {
        fn context(&self) -> usize {
            2
        }

        fn predict(&mut self, pieces: &[i64]) -> Result<Vec<f32>, Never> {
            assert_eq!(pieces.len(), 2);
            self.predictions += 1;
            Ok(vec![0.0])
        }

        fn join(&mut self, row: &[f32], predictions: &[&[f32]]) -> Result<Vec<f32>, Never> {
            Ok(row.repeat(predictions.len()))
        }
    }
}
