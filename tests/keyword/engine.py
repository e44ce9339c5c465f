#!/usr/bin/env python3
"""What Moonshine's own engine costs for the calls that the bench `phrases` played.

    engine.py CALLS EVERY

CALLS is the folder of the recordings, 8 kHz. Every recording is a stream of one transcriber of the package
moonshine-voice (its C++ library, the same model tiny-en, the package's settings), and all are fed in turn, EVERY
seconds each, after which it brings its text up to date: by itself it does so every half second, and hears the line that
goes on from its beginning. It writes down everything, and looks for no phrase. Printed is the CPU time of the process per second of audio.
"""

import sys
import time
import wave
from pathlib import Path

import numpy as np
from moonshine_voice import get_model_path
from moonshine_voice.moonshine_api import ModelArch
from moonshine_voice.transcriber import Transcriber, TranscriptEventListener


class Words(TranscriptEventListener):
    """Counts the words of the lines that are complete."""

    words = 0

    def on_line_completed(self, event):
        Words.words += len(event.line.text.split())


def read(file):
    """Samples in [-1, 1], and their rate."""
    with wave.open(str(file)) as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
        return samples.astype(np.float32) / 32768, recording.getframerate()


def main(folder, every):
    recordings = [read(file) for file in sorted(Path(folder).glob("*.wav"))]
    transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY, update_interval=every)
    streams = [transcriber.create_stream(update_interval=every) for _ in recordings]
    for stream in streams:
        stream.add_listener(Words())
        stream.start()
    seconds = sum(len(samples) / rate for samples, rate in recordings)
    longest = max(len(samples) / rate for samples, rate in recordings)
    began, spent = time.monotonic(), time.process_time()
    for step in range(int(longest / every) + 1):
        for stream, (samples, rate) in zip(streams, recordings):
            size = int(every * rate)
            piece = samples[step * size : (step + 1) * size]
            if len(piece):
                stream.add_audio(piece.tolist(), rate)
    for stream in streams:
        stream.stop()
    spent, took = time.process_time() - spent, time.monotonic() - began
    print(
        f"moonshine-voice: {len(recordings)} streams, {seconds:.0f} s of audio, {Words.words} words, "
        f"brought up to date every {every:g} s: {1e3 * spent / seconds:.1f} ms of CPU per second of audio, in {took:.0f} s"
    )


main(sys.argv[1], float(sys.argv[2]))
