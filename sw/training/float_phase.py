"""The first phase: the network in FP32."""

from torch import nn

from downshift.sw.data.images import Images
from downshift.sw.data.targets import loss
from downshift.sw.training.batches import Batch
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.evaluation import accuracy
from downshift.sw.training.phase import Phase
from downshift.sw.training.processes import Processes

__all__ = ["FloatPhase"]


class FloatPhase(Phase):
    """A network learns in FP32."""

    name = "float"

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        config: TrainingConfig,
        processes: Processes | None = None,
    ):
        super().__init__(
            model,
            images,
            config,
            processes or Processes(),
            epochs=config.float_epochs,
            peak=config.float_rate,
        )

    def learn(self, batch: Batch, share: float) -> dict[str, float]:
        """Step once."""
        lost = loss(self.forward(batch.images).float(), batch.labels)
        value = self.checked(lost, batch, "in FP32")
        lost.backward()
        self.processes.average_gradients(self.model.parameters())
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"loss": value}

    def judged(self) -> dict[str, float]:
        """Accuracy on the validation part."""
        images = self.images
        return {"accuracy": accuracy(self.model, images.validation, input_scale=images.input_scale)}
