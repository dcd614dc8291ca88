"""Giving an image back through a small code."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from restore.errors import UsageError
from restore.metrics import CodeStatistics, build_metrics
from restore.models.base import Autoencoder
from restore.models.variational import VariationalAutoencoder
from restore.seeds import generator_for
from restore.tasks.base import RestorationTask
from restore.types import Batch

__all__ = ["ReconstructionAutoencoder"]


class ReconstructionAutoencoder(RestorationTask):
    """The image itself is what the network is to give back; what is learnt is the code.

    Beside the scores, `val` and `test` have `mse`, and of the code `code_mean`, `code_nonzero` and `code_active`; of a
    variational network also `kl`, `kl_00` and so on, `code_collapsed`, and `negative_elbo`: minus the evidence lower
    bound in nats per image, for a Bernoulli likelihood, with one drawn code for each image, the same in every run. The
    data may still corrupt: the network then gives back the clean image, as in `DenoisingAutoencoder`.
    """

    def setup(self, stage: str) -> None:
        """Refuse a network without a code."""
        if not isinstance(self.network, Autoencoder):
            raise UsageError(f"network: {type(self.network).__name__} has no code; choose an autoencoder")
        super().setup(stage)
        self._codes: dict[str, CodeStatistics] = {}
        self._elbos: dict[str, MeanMetric] = {}

    def build_scores(self) -> MetricCollection:
        """PSNR, SSIM and the mean squared error."""
        return build_metrics(error=True)

    def finish(self, restored: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        """Keep the network's output as it is."""
        return restored

    def on_validation_epoch_end(self) -> None:
        """Log what was scored."""
        super().on_validation_epoch_end()
        self._log_codes("val")

    def on_test_epoch_end(self) -> None:
        """Log what was scored."""
        super().on_test_epoch_end()
        self._log_codes("test")

    def _evaluate(self, stage: str, batch: Batch, loaders: Any, dataloader_idx: int) -> None:
        super()._evaluate(stage, batch, loaders, dataloader_idx)
        network, image, mask = self.network, self._layout(batch["corrupted"]), batch["mask"]
        if not isinstance(network, VariationalAutoencoder):
            self._statistics(stage).update(network.encode(image, mask))  # type: ignore[operator]  # setup has checked
            return
        posterior = network.posterior(image, mask)
        self._statistics(stage).update(posterior.mean, posterior.divergence())
        if network.output == "sigmoid":  # a likelihood needs probabilities
            names: list[str] = batch["name"]  # type: ignore[typeddict-item]  # scored batches have names
            noise = [torch.randn(posterior.mean.shape[1:], generator=generator_for("elbo", name)) for name in names]
            drawn = torch.stack(noise).to(self.device)
            self._elbos[stage].update(network.negative_elbo(posterior, batch["clean"], drawn))

    def _statistics(self, stage: str) -> CodeStatistics:
        if stage not in self._codes:
            units: int = self.network.code_channels  # type: ignore[assignment]  # setup has checked
            self._codes[stage] = CodeStatistics(units).to(self.device)
            self._elbos[stage] = MeanMetric(nan_strategy="disable").to(self.device)
        return self._codes[stage]

    def _log_codes(self, stage: str) -> None:
        for name, value in self._statistics(stage).compute().items():
            self.log(f"{stage}/{name}", value)
        if self._elbos[stage].update_called:
            self.log(f"{stage}/negative_elbo", self._elbos[stage].compute(), prog_bar=True)
        self._codes[stage].reset()
        self._elbos[stage].reset()
