"""
Writes config/foxglove.json, the layout for Foxglove; ``--check`` only tells whether it is current.

    python docs/foxglove.py                                  # one camera without a name
    python docs/foxglove.py front left --output rig.json     # cameras: [front, left]
    python docs/foxglove.py --namespace robot --output robot.json
"""

import argparse
import json
from pathlib import Path
import sys

LAYOUT = Path(__file__).parents[1] / 'config' / 'foxglove.json'
COLOURS = ('#4e98e2', '#f5774d', '#2bc07e', '#b085e0')


def main() -> int:
    """Write or check the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('cameras', nargs='*', default=[], help='names of the cameras of a rig')
    parser.add_argument('--namespace', default='', help='namespace of the node')
    parser.add_argument('--output', type=Path, default=LAYOUT, help='where the layout goes')
    parser.add_argument('--check', action='store_true', help='only tell whether it is there')
    arguments = parser.parse_args()
    home = f'/{arguments.namespace.strip("/")}/'.replace('//', '/')
    text = json.dumps(layout(arguments.cameras or [''], home), indent=2) + '\n'
    if arguments.check:
        return int(not arguments.output.is_file() or arguments.output.read_text() != text)
    arguments.output.write_text(text)
    return 0


def layout(cameras: list[str], home: str) -> dict:
    """Return the layout for cameras whose node publishes under ``home``."""
    prefixes = [f'{home}{camera}/' if camera else home for camera in cameras]
    panels = {'3D!map': space(prefixes, home)}
    pictures = []
    for i, (camera, prefix) in enumerate(zip(cameras, prefixes, strict=True)):
        for kind, name in (('depth', 'depth/image_rect'), ('confidence', 'confidence/image_rect')):
            panels[f'Image!{kind}{i}'] = picture(f'{prefix}{name}', f'{camera} {kind}'.strip())
            pictures.append(f'Image!{kind}{i}')
    status = f'{home}status'
    panels |= {
        'Plot!latency': plot(status, 'Latency [ms]', ['latency_p50_ms', 'latency_p95_ms']),
        'Plot!scale': plot(status, 'Scale', ['scale', 'scale_spread']),
        'Plot!counts': plot(status, 'Frames', ['frames_published', 'frames_dropped', 'keyframes']),
        'RawMessages!status': {'topicPath': status, 'foxglovePanelTitle': 'Status'},
    }
    plots = stacked(['Plot!latency', 'Plot!scale', 'Plot!counts', 'RawMessages!status'], 'row')
    above = split('row', '3D!map', stacked(pictures, 'column'), 70)
    return {
        'configById': panels,
        'globalVariables': {},
        'userNodes': {},
        'playbackConfig': {'speed': 1},
        'layout': split('column', above, plots, 70),
    }


def space(prefixes: list[str], home: str) -> dict:
    """Return the panel with the clouds, the frames and the keyframes; the map has z up."""
    cloud = {'visible': True, 'colorField': 'rgb', 'colorMode': 'rgb', 'pointSize': 2}
    topics = {f'{prefix}points': cloud for prefix in prefixes}
    topics[f'{home}map_points'] = cloud
    topics[f'{home}keyframes'] = {
        'visible': True,
        'type': 'line',
        'lineWidth': 0.01,
        'gradient': ['#19c878ff', '#19c878ff'],
    }
    topics |= {f'{prefix}odometry': {'visible': True, 'axisScale': 0.3} for prefix in prefixes}
    return {
        'foxglovePanelTitle': 'Map',
        'followMode': 'follow-none',
        'followTf': 'map',
        # From behind a camera that looks along x, and above.
        'cameraState': {
            'perspective': True,
            'distance': 6,
            'phi': 60,
            'thetaOffset': 90,
            'target': [0, 0, 0],
            'targetOffset': [2, 0, 0],
            'targetOrientation': [0, 0, 0, 1],
            'fovy': 50,
            'near': 0.01,
            'far': 500,
        },
        'scene': {'transforms': {'axisScale': 0.3, 'showLabel': True}, 'enableStats': False},
        'layers': {
            'grid': {
                'layerId': 'foxglove.Grid',
                'instanceId': 'grid',
                'label': 'Grid',
                'visible': True,
                'frameId': 'map',
                'size': 20,
                'divisions': 20,
                'lineWidth': 1,
                'color': '#a0a0a433',
                'position': [0, 0, 0],
                'rotation': [0, 0, 0],
            }
        },
        'transforms': {},
        'topics': topics,
    }


def picture(topic: str, title: str) -> dict:
    """Return the panel of one image of numbers."""
    return {
        'foxglovePanelTitle': title[:1].upper() + title[1:],
        'imageMode': {'imageTopic': topic, 'colorMode': 'colormap', 'colorMap': 'turbo'},
    }


def plot(topic: str, title: str, fields: list[str]) -> dict:
    """Return the panel with fields of a topic over time."""
    paths = [
        {
            'value': f'{topic}.{field}',
            'label': field,
            'color': colour,
            'enabled': True,
            'timestampMethod': 'receiveTime',
        }
        for field, colour in zip(fields, COLOURS, strict=False)
    ]
    return {
        'foxglovePanelTitle': title,
        'paths': paths,
        'xAxisVal': 'timestamp',
        'isSynced': True,
        'showLegend': True,
        'legendDisplay': 'floating',
        'showXAxisLabels': True,
        'showYAxisLabels': True,
    }


def stacked(panels: list[str], direction: str) -> dict | str:
    """Return panels beside or below each other, all of one size."""
    if len(panels) == 1:
        return panels[0]
    return split(direction, panels[0], stacked(panels[1:], direction), 100 / len(panels))


def split(direction: str, first: dict | str, second: dict | str, percent: float) -> dict:
    """Return two parts of the window, the first of which has so much of it."""
    share = round(percent, 2)
    return {'direction': direction, 'first': first, 'second': second, 'splitPercentage': share}


if __name__ == '__main__':
    sys.exit(main())
