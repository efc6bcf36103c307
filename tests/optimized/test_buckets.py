"""A forward pass recorded at fixed lengths: the right bucket, the plain answers, and only on CUDA."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from encoders import model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_packed_sequences import sequence

from baselines.batching import pad
from baselines.classifier import runner
from harness.errors import DeviceError, UsageError
from harness.system import Placement
from harness.tasks import get_task
from harness.tasks.boolq import BOOLQ
from optimized.buckets import Buckets, Step, length_for, lengths_up_to
from optimized.captured import VARIANTS

BF16 = VARIANTS[0]
