"""The case's wheel as a model of MLServer, which imports it by name."""

from casebook_maintenance import model
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Wheel(MLModel):
    """Answers a record of tensors with one row each."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return score and label."""
        record = {each.name: each.data[0] for each in payload.inputs}
        # By REST it is a text already.
        record["quality"] = (
            str(record["quality"], "utf-8") if isinstance(record["quality"], bytes) else record["quality"]
        )
        found = model.predict(record)
        outputs = [
            ResponseOutput(name="score", shape=[1], datatype="FP64", data=[found.score]),
            ResponseOutput(name="label", shape=[1], datatype="BOOL", data=[found.label]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
