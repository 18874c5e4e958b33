{{- define "refit.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "refit.selector" -}}
app.kubernetes.io/name: refit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "refit.labels" -}}
{{ include "refit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Security of every pod of Refit: not root, no privilege escalation, no token of the cluster. */}}
{{- define "refit.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "refit.container" -}}
image: {{ include "refit.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ .Release.Name }}-settings
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts: {{ include "refit.mounts" . | nindent 2 }}
{{- end }}

{{- define "refit.mounts" -}}
- name: secrets
  mountPath: /run/secrets/refit
  readOnly: true
- name: scratch
  mountPath: /var/lib/refit
  subPath: home
- name: scratch
  mountPath: /tmp
  subPath: tmp
{{- end }}

{{/* Mounts the listed keys only, so that a pod sees no secret that it does not need. */}}
{{- define "refit.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.secretName }}
    defaultMode: 0440
    items:
    {{- range .secrets }}
      - key: {{ . }}
        path: {{ . }}
    {{- end }}
- name: scratch
  emptyDir:
    sizeLimit: {{ .scratch }}
{{- end }}

{{/* Environment variables that name the files of the listed secrets. */}}
{{- define "refit.secretFiles" -}}
{{- $variables := dict "refit_database_url" "REFIT_DATABASE_URL" "refit_reader_url" "REFIT_DATABASE_URL" "mlflow_password" "MLFLOW_TRACKING_PASSWORD" "prefect_auth" "PREFECT_API_AUTH_STRING" "s3_access_key" "AWS_ACCESS_KEY_ID" "s3_secret_key" "AWS_SECRET_ACCESS_KEY" }}
{{- range . }}
- name: {{ get $variables . }}_FILE
  value: /run/secrets/refit/{{ . }}
{{- end }}
{{- end }}
