"""Every benchmark that there is a reader for, by its name."""

from da3_ros.evaluation.datasets.dtu import DTU, DTU64
from da3_ros.evaluation.datasets.eth3d import ETH3D
from da3_ros.evaluation.datasets.euroc import EUROC
from da3_ros.evaluation.datasets.hiroom import HIROOM
from da3_ros.evaluation.datasets.kitti import KITTI
from da3_ros.evaluation.datasets.scannetpp import SCANNETPP
from da3_ros.evaluation.datasets.sequence import SEQUENCE
from da3_ros.evaluation.datasets.seven_scenes import SEVEN_SCENES
from da3_ros.evaluation.datasets.tum import TUM

DATASETS = {
    dataset.name: dataset
    for dataset in (
        *(ETH3D, SEVEN_SCENES, SCANNETPP, HIROOM, DTU, DTU64, TUM, KITTI, EUROC, SEQUENCE),
    )
}
