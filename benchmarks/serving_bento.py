"""The case's wheel as a service of BentoML, which imports it by name."""

import bentoml
from casebook_maintenance import model


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Maintenance:
    """Answers a record."""

    @bentoml.api
    def predict(
        self,
        quality: str,
        air_temperature: float,
        process_temperature: float,
        rotational_speed: float,
        torque: float,
        tool_wear: float,
    ) -> dict:
        """Return score and label."""
        record = {
            "quality": quality,
            "air_temperature": air_temperature,
            "process_temperature": process_temperature,
            "rotational_speed": rotational_speed,
            "torque": torque,
            "tool_wear": tool_wear,
        }
        found = model.predict(record)
        return {"score": found.score, "label": found.label}
