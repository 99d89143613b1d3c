{{/* Labels of every object. No version: an upgrade that changes nothing must not touch the admission policies. */}}
{{- define "keyhole.labels" -}}
app.kubernetes.io/name: keyhole
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* A warning where Kubernetes has CVE-2026-2270; versions with a suffix of a distribution are compared by their numbers. */}}
{{- define "keyhole.unpatched" -}}
{{- $version := .Capabilities.KubeVersion.Version }}
{{- if semverCompare "<1.34.12-0 || >=1.35.0-0 <1.35.9-0 || >=1.36.0-0 <1.36.5-0 || >=1.37.0-0 <1.37.1-0" $version }}
KUBERNETES {{ $version }} HAS CVE-2026-2270: whoever may write StatefulSets and ControllerRevisions in one namespace can have pods made in
another. Upgrade to 1.34.12, 1.35.9, 1.36.5, 1.37.1 or later of its line.
{{ end }}
{{- end }}

{{/* Labels of every pod of this release in its own namespace; the operator's NetworkPolicy selects them. */}}
{{- define "keyhole.podLabels" -}}
app.kubernetes.io/name: keyhole-operator
app.kubernetes.io/part-of: keyhole
{{- end }}

{{/* Labels of the audit log's pod; admission lets no other have the first. */}}
{{- define "keyhole.logLabels" -}}
app.kubernetes.io/name: keyhole-log
app.kubernetes.io/component: log
{{- end }}

{{/* The operator's labels, what makes this pod one of its component, and the installation's own: argument is (list $ "component"). */}}
{{- define "keyhole.allPodLabels" -}}
{{- $ := index . 0 -}}
{{ include "keyhole.podLabels" $ }}
app.kubernetes.io/component: {{ index . 1 }}
{{- with $.Values.operator.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* One NetworkPolicy peer from {cidr} or {namespaceLabels, podLabels}. */}}
{{- define "keyhole.peer" -}}
{{- if .cidr -}}
ipBlock:
  cidr: {{ .cidr | quote }}
{{- else -}}
namespaceSelector:
  matchLabels: {{- toYaml .namespaceLabels | nindent 4 }}
{{- with .podLabels }}
podSelector:
  matchLabels: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same peer for the configuration file: only one of the two forms. */}}
{{- define "keyhole.peerConfig" -}}
{{- if .cidr -}}
cidr: {{ .cidr | quote }}
{{- else -}}
namespaceLabels: {{- toYaml .namespaceLabels | nindent 2 }}
{{- with .podLabels }}
podLabels: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* An image that says what it is, not only what it is called: argument is (list $ "operator", "proxy" or "log"). */}}
{{- define "keyhole.image" -}}
{{- $ := index . 0 -}}
{{- $image := get $.Values.image (index . 1) -}}
{{- if not (or $.Values.image.allowTags (contains "@sha256:" $image)) -}}
{{- fail (printf "image.%s is %s: name it by its digest, NAME@sha256:…, or set image.allowTags=true to try things out" (index . 1) $image) -}}
{{- end -}}
{{ $image | quote }}
{{- end }}

{{/* The operator's configuration file. */}}
{{- define "keyhole.config" -}}
namespace: {{ .Release.Namespace }}
serviceAccount: keyhole-operator
operatorImage: {{ .Values.image.operator | quote }}
proxiesNamespace: {{ .Values.proxies.namespace }}
proxyImage: {{ include "keyhole.image" (list $ "proxy") }}
logImage: {{ include "keyhole.image" (list $ "log") }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
imagePullSecrets: {{- toYaml .Values.imagePullSecrets | nindent 2 }}
{{- with .Values.authorities }}
{{- if and .internal (eq .internal .session) }}
{{- fail "authorities.internal and authorities.session name the same Secret: they must be two authorities" }}
{{- end }}
authorities:
  internal: {{ .internal | default nil | toJson }}
  session: {{ .session | default nil | toJson }}
  previous:
    internal: {{ .previous.internal | default nil | toJson }}
    session: {{ .previous.session | default nil | toJson }}
{{- end }}
vault:
  address: {{ .Values.vault.address | quote }}
  ca: {{ required "set vault.ca to the certificate authorities of Vault: --set-file vault.ca=ca.crt" .Values.vault.ca | quote }}
  {{- with .Values.vault.namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  kubernetesMount: {{ .Values.vault.kubernetesMount | quote }}
  operatorRole: {{ .Values.vault.operatorRole | quote }}
  to: {{- include "keyhole.peerConfig" .Values.vault.to | nindent 4 }}
  port: {{ .Values.vault.port }}
dns: {{- toYaml .Values.dns | nindent 2 }}
clientNamespaces: {{- toYaml .Values.proxies.clientNamespaces | nindent 2 }}
proxyResources: {{- toYaml .Values.proxies.resources | nindent 2 }}
proxyThreads: {{ .Values.proxies.threads }}
probeEvery: {{ .Values.databases.probeEvery | quote }}
maxLiveGrants: {{ .Values.grants.maxLive }}
keepEndedFor: {{ .Values.retention.ended | quote }}
proxyPod:
  {{- with .Values.proxies }}
  labels: {{- toYaml .podLabels | nindent 4 }}
  annotations: {{- toYaml .podAnnotations | nindent 4 }}
  nodeSelector: {{- toYaml .nodeSelector | nindent 4 }}
  tolerations: {{- toYaml .tolerations | nindent 4 }}
  affinity: {{- toYaml .affinity | nindent 4 }}
  priorityClassName: {{ .priorityClassName | quote }}
  {{- end }}
{{- end }}

{{/* What all pods of the operator's image share: argument is (list $ "subcommand"). */}}
{{- define "keyhole.pod" -}}
{{- $ := index . 0 -}}
serviceAccountName: keyhole-operator
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- with $.Values.operator }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
containers:
- name: operator
  image: {{ include "keyhole.image" (list $ "operator") }}
  imagePullPolicy: {{ $.Values.image.pullPolicy }}
  args: [{{ index . 1 }}]
  env:
  # Who it is in the election.
  - name: POD_NAME
    valueFrom:
      fieldRef: {fieldPath: metadata.name}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
  resources: {{- toYaml $.Values.operator.resources | nindent 4 }}
  volumeMounts:
  - {name: config, mountPath: /etc/keyhole-operator, readOnly: true}
  - {name: vault-token, mountPath: /var/run/secrets/vault, readOnly: true}
{{- end }}

{{/* Volumes of those pods. */}}
{{- define "keyhole.volumes" -}}
volumes:
- name: config
  configMap: {name: keyhole-operator}
- name: vault-token
  projected:
    sources:
    - serviceAccountToken: {audience: vault, expirationSeconds: 600, path: token}
{{- end }}
