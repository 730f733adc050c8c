#!/bin/sh
# Installs this package with the extras $1 into /opt/dokuei: no pip in it, compiled, and its bill of materials beside it.
# Runs in a build stage only. pip's configuration and certificates are secrets of the build (images/build.py).
set -eu
export PIP_CONFIG_FILE=/run/secrets/pip PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
locked="--constraint constraints.txt --constraint constraints-gpu.txt --quiet"

python3 -m venv --without-pip /opt/dokuei
python=/opt/dokuei/bin/python
# shellcheck disable=SC2086
pip --python $python install $locked --no-compile ".[$1]"
# triton compiles kernels for GPUs at run time: a compiler of 1 GB that torch imports nowhere by itself.
pip --python $python uninstall --quiet --yes triton 2>/dev/null
# Checked by hash once, here: times of files may change on their way into an image, and nothing can be written at start.
python3 -m compileall -q --invalidation-mode unchecked-hash /opt/dokuei/lib

python3 -m venv /opt/sbom
# shellcheck disable=SC2086
/opt/sbom/bin/pip install $locked cyclonedx-bom
/opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/dokuei/sbom.cdx.json $python
