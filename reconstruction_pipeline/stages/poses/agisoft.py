"""Cameras in Agisoft's XML, as Metashape exports and imports them."""

from __future__ import annotations

from pathlib import PurePosixPath
from xml.etree import ElementTree

import numpy as np

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel


def agisoft_xml(model: ColmapModel) -> str:
    """The document for one chunk, in the model's own world (ours: y-down); raises `InvalidArtifact` for distortion.

    A camera's `transform` is camera-to-world, row by row, x right, y down, z forward; its label is its picture's name
    without the ending, which is what Metashape calls a picture that was added. From the frame camera model in the
    appendix of Metashape's manual: u = w/2 + cx + x (f + b1) + y b2 and v = h/2 + cy + y f, with x and y over z.
    """
    document = ElementTree.Element("document", version="2.0.0")
    chunk = ElementTree.SubElement(document, "chunk", label="Chunk 1", enabled="true")
    sensors = ElementTree.SubElement(chunk, "sensors", next_id=str(len(model.cameras)))
    numbers = {camera_id: str(number) for number, camera_id in enumerate(model.cameras)}
    for camera_id, camera in model.cameras.items():
        _add_sensor(sensors, numbers[camera_id], camera)
    cameras = ElementTree.SubElement(chunk, "cameras", next_id=str(len(model.images)), next_group_id="0")
    for number, image in enumerate(model.images):
        attributes = {"id": str(number), "sensor_id": numbers[image.camera_id]}
        label = PurePosixPath(image.name).stem
        element = ElementTree.SubElement(cameras, "camera", {**attributes, "label": label, "enabled": "true"})
        to_world = np.eye(4)
        to_world[:3, :3] = image.rotation.T
        to_world[:3, 3] = image.center
        ElementTree.SubElement(element, "transform").text = " ".join(repr(float(value)) for value in to_world.ravel())
    ElementTree.indent(document)
    return ElementTree.tostring(document, encoding="unicode", xml_declaration=True) + "\n"


def _add_sensor(sensors: ElementTree.Element, number: str, camera: Camera) -> None:
    fx, fy, cx, cy = camera.pinhole()
    size = {"width": str(camera.width), "height": str(camera.height)}
    sensor = ElementTree.SubElement(sensors, "sensor", id=number, label=f"undistorted {number}", type="frame")
    ElementTree.SubElement(sensor, "resolution", size)
    calibration = ElementTree.SubElement(sensor, "calibration", {"type": "frame", "class": "adjusted"})
    ElementTree.SubElement(calibration, "resolution", size)
    numbers = {"f": fy, "cx": cx - camera.width / 2, "cy": cy - camera.height / 2, "b1": fx - fy}
    for name, value in numbers.items():
        ElementTree.SubElement(calibration, name).text = repr(float(value))
