# One model as an image (build argument MODEL, a folder of the model store). The build context is the repository.
#
# KServe's modelcar runs `sh -c` with ln, ls, mkdir and sleep in it and links /mnt/models to /models through /proc, so
# there is no entrypoint, and any user may read /models. Its image volumes (oci+native://) mount /models and run nothing.
# The archive's signature goes along where there is one.
ARG BASE=debian:12-slim

FROM ${BASE} AS tools
RUN apt-get update \
 && apt-get install --yes --no-install-recommends busybox-static
# The package's record goes along, where scanners look for it in images without dpkg.
RUN mkdir -p /image/bin /image/mnt /image/tmp /image/var/lib/dpkg/status.d \
 && cp /bin/busybox /image/bin/ \
 && for tool in ln ls mkdir sh sleep; do ln -s busybox /image/bin/$tool; done \
 && dpkg-query --status busybox-static > /image/var/lib/dpkg/status.d/busybox-static

FROM scratch AS model
ARG MODEL
COPY --from=tools /image /
COPY --chmod=444 model-store/${MODEL}/card.yaml model-store/${MODEL}/${MODEL}.mar* /models/
ENV PATH=/bin
ARG VERSION
ARG REVISION
ARG LICENCE
LABEL org.opencontainers.image.title="Dokuei model ${MODEL}" \
      org.opencontainers.image.description="The archive and the card of one model, for KServe. Research use only." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="${LICENCE}"
USER 65532:65532
CMD ["ls", "-l", "/models"]
