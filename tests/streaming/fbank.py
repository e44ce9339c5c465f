"""Features as sherpa-onnx hands them to its models, by the library that it has them from."""

import kaldi_native_fbank as knf
import numpy as np


def features(samples):
    """What sherpa-onnx hands its models, [frames, 80]."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.frame_opts.snip_edges = 16000, 0, False
    options.mel_opts.num_bins, options.mel_opts.high_freq, options.energy_floor = 80, -400, 0
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(16000, (samples / np.float32(32768)).astype(np.float32).tolist())
    bank.input_finished()
    return np.array([bank.get_frame(n) for n in range(bank.num_frames_ready)], np.float32)
