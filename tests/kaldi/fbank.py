"""Kaldi's filterbank of little-endian f32 samples at 16 kHz on standard input, to standard output.

fbank.py WINDOW SCALE BANDS HIGHEST_HZ whole|mirrored
"""

import sys

import kaldi_native_fbank as knf
import numpy as np

window, scale, bands, highest, edges = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
samples = np.frombuffer(sys.stdin.buffer.read(), "<f4")
options = knf.FbankOptions()
options.frame_opts.samp_freq = 16000
options.frame_opts.dither = 0
options.frame_opts.window_type = window
options.frame_opts.snip_edges = edges == "whole"
options.mel_opts.num_bins = bands
options.mel_opts.high_freq = highest
options.use_energy = False
options.energy_floor = 0
bank = knf.OnlineFbank(options)
bank.accept_waveform(16000, (samples * np.float32(scale)).tolist())
bank.input_finished()
for frame in range(bank.num_frames_ready):
    sys.stdout.buffer.write(np.asarray(bank.get_frame(frame), "<f4").tobytes())
