{{/*
KServe mounts a model image as a sidecar, the "modelcar", and adds it itself where the pod has none of that name. Its own
has no security context, which Pod Security "restricted" refuses; so the pod brings the same two containers with one. The
model server reads the sidecar's files through /proc, which takes that both run as the same user: KServe's uidModelcar.
*/}}
{{- define "dokuei.modelcar" -}}
volumes:
  - name: kserve-provision-location
    emptyDir: {}
initContainers:
  - name: modelcar-init
    image: {{ .image }}
    imagePullPolicy: IfNotPresent
    args: [sh, -c, 'ls /models/*.mar']
    resources: {{- include "dokuei.modelcarResources" . | nindent 6 }}
    securityContext:
      runAsUser: {{ .root.Values.kserve.modelcarUid }}
      {{- include "dokuei.containerSecurity" . | nindent 6 }}
containers:
  - name: modelcar
    image: {{ .image }}
    imagePullPolicy: IfNotPresent
    args: [sh, -c, 'ln -sf /proc/$$$$/root/models /mnt/models && exec sleep infinity']
    resources: {{- include "dokuei.modelcarResources" . | nindent 6 }}
    securityContext:
      runAsUser: {{ .root.Values.kserve.modelcarUid }}
      {{- include "dokuei.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: kserve-provision-location, mountPath: /mnt}
{{- end -}}

{{- define "dokuei.modelcarResources" -}}
requests: {cpu: 10m, memory: 15Mi}
limits: {cpu: 100m, memory: 32Mi}
{{- end -}}
