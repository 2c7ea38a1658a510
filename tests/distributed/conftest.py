import pytest

PAIRS = """
seed_everything: 3
model:
  class_path: ranklight.lightning_modules.MetricLearning
  init_args:
    encoder:
      class_path: ranklight.models.Encoder
      init_args:
        trunk:
          class_path: ranklight.models.SmallConvNet
          init_args: {width: 8}
        embedding_dim: 8
    objective:
      class_path: ranklight.pairs.Objective
      init_args:
        loss: ranklight.losses.MultiSimilarityLoss
        miner: ranklight.miners.MultiSimilarityMiner
        references:
          class_path: ranklight.pairs.CrossBatchMemory
          init_args: {size: 5000}
    optimizer:
      class_path: torch.optim.SGD
      init_args: {lr: 1.0e-2, momentum: 0.9}
data:
  class_path: ranklight.datamodules.Digits
  init_args: {classes_per_batch: 4, samples_per_class: 4}
last:
  every_n_train_steps: 7
trainer:
  accelerator: cpu
  precision: 64-true
  max_steps: 20
  limit_train_batches: 8
  check_val_every_n_epoch: 2
  log_every_n_steps: 1
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - class_path: ranklight.callbacks.RetrievalEvaluation
      init_args: {clustering: false}
"""
TWO_HEADS = """
seed_everything: 3
best: {monitor: val/accuracy}
model:
  class_path: ranklight.lightning_modules.TwoHeadClassification
  init_args:
    model:
      class_path: ranklight.models.TwoHeads
      init_args:
        trunk:
          class_path: ranklight.models.SmallConvNet
          init_args: {width: 8}
        num_classes: 10
        image_shape: [1, 32, 32]
        embedding_dim: 8
    objective:
      class_path: ranklight.pairs.Objective
      init_args:
        loss: ranklight.losses.TripletLoss
        miner: ranklight.miners.Hardest
    optimizer:
      class_path: torch.optim.SGD
      init_args: {lr: 1.0e-2, momentum: 0.9}
data:
  class_path: ranklight.datamodules.DigitClasses
  init_args: {classes_per_batch: 4, samples_per_class: 4}
trainer:
  accelerator: cpu
  precision: 64-true
  max_steps: 20
  limit_train_batches: 8
  check_val_every_n_epoch: 2
  enable_progress_bar: false
  enable_model_summary: false
"""


@pytest.fixture(scope="session")
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    for name, text in (("pairs", PAIRS), ("two_heads", TWO_HEADS)):
        (folder / f"{name}.yaml").write_text(text)
    return folder
