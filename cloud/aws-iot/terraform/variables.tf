# Where and under which names

variable "region" {
  description = "AWS region of everything that is made here."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like eu-central-1."
  }
}

variable "environment" {
  description = "Name of the environment, part of every name. In a workspace other than \"default\" it must be the workspace's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "The environment has 2 to 12 lower-case letters and digits, a letter first."
  }

  # Applying production's values in the workspace of staging would rename everything in it.
  validation {
    condition     = contains(["default", var.environment], terraform.workspace)
    error_message = "The workspace has another name than the environment: select the right one, or give its own -var-file."
  }
}

variable "project" {
  description = "First part of every name."
  type        = string
  default     = "wattwire"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.project))
    error_message = "The project has 2 to 12 lower-case letters and digits, a letter first."
  }
}

variable "tags" {
  description = "Tags of everything, beside Project, Environment and ManagedBy."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "ARN of a KMS key for the streams, the archive and the logs; null: the keys that AWS manages. Its key policy must let CloudWatch Logs use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "Give the ARN of a key, not of an alias."
  }
}

# Devices

variable "sparkplug_group_id" {
  description = "Sparkplug group: the second level of the topics that devices publish to (spBv1.0/<group>/...)."
  type        = string
  default     = "pm500"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{1,64}$", var.sparkplug_group_id))
    error_message = "The group has letters, digits, dots, hyphens and underscores."
  }
}

variable "certificate_bucket" {
  description = "Bucket (not made here) with signing requests under csr/devices/ and csr/claims/; certificates are written to certificates/devices/ and certificates/claims/."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.certificate_bucket))
    error_message = "This is no name of a bucket."
  }
}

variable "devices" {
  description = "Thing names of devices to register now; each needs csr/devices/<name>.pem in the certificate bucket. A thing is a Sparkplug edge node of the same name."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.devices : can(regex("^[a-zA-Z0-9:_-]{1,128}$", name))])
    error_message = "A thing's name has letters, digits, colons, hyphens and underscores."
  }
}

variable "claims" {
  description = "Names of claim certificates to issue for fleet provisioning; each needs csr/claims/<name>.pem in the certificate bucket."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.claims : can(regex("^[a-zA-Z0-9_-]{1,64}$", name))])
    error_message = "A claim's name has letters, digits, hyphens and underscores."
  }
}

variable "provisioning_enabled" {
  description = "Whether devices with a claim certificate may register themselves."
  type        = bool
  default     = false
}

variable "pre_provisioning_hook_arn" {
  description = "ARN of a Lambda function that says which devices may register themselves; null: every holder of a claim certificate may take any name that is free."
  type        = string
  default     = null

  validation {
    condition     = var.pre_provisioning_hook_arn == null || can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:.+$", var.pre_provisioning_hook_arn))
    error_message = "Give the ARN of a Lambda function."
  }
}

# Routes

variable "message_filter" {
  description = "Condition of the rules in AWS IoT SQL, without WHERE, for example: topic(4) <> 'bench'. Empty: every message."
  type        = string
  default     = ""
}

variable "kinesis_stream_name" {
  description = "Name of the Kinesis stream; null: <project>-<environment>-telemetry."
  type        = string
  default     = null

  validation {
    condition     = var.kinesis_stream_name == null || can(regex("^[A-Za-z0-9_.-]{1,128}$", var.kinesis_stream_name))
    error_message = "A stream's name has at most 128 letters, digits, dots, hyphens and underscores."
  }
}

variable "kinesis_shard_count" {
  description = "Shards of the Kinesis stream, 1 MB/s or 1,000 records/s each; 0: capacity on demand."
  type        = number
  default     = 0

  validation {
    condition     = var.kinesis_shard_count >= 0 && floor(var.kinesis_shard_count) == var.kinesis_shard_count
    error_message = "A whole number, 0 or more."
  }
}

variable "kinesis_retention_hours" {
  description = "How long records stay on the Kinesis stream, in hours."
  type        = number
  default     = 24

  validation {
    condition     = var.kinesis_retention_hours >= 24 && var.kinesis_retention_hours <= 8760
    error_message = "Kinesis keeps records for 24 to 8760 hours."
  }
}

variable "archive_enabled" {
  description = "Whether messages are archived on S3 as well."
  type        = bool
  default     = true
}

variable "firehose_stream_name" {
  description = "Name of the Firehose stream that writes the archive; null: <project>-<environment>-archive."
  type        = string
  default     = null

  validation {
    condition     = var.firehose_stream_name == null || can(regex("^[A-Za-z0-9_.-]{1,64}$", var.firehose_stream_name))
    error_message = "A Firehose stream's name has at most 64 letters, digits, dots, hyphens and underscores."
  }
}

variable "archive_bucket_name" {
  description = "Name of the archive's bucket, which is made here; null: <project>-<environment>-archive-<account>-<region>."
  type        = string
  default     = null

  validation {
    condition     = var.archive_bucket_name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.archive_bucket_name))
    error_message = "This is no name of a bucket."
  }
}

variable "archive_buffer_mib" {
  description = "Size at which an object of the archive is written, in MiB."
  type        = number
  default     = 64

  validation {
    condition     = var.archive_buffer_mib >= 64 && var.archive_buffer_mib <= 128
    error_message = "With dynamic partitioning Firehose buffers 64 to 128 MiB."
  }
}

variable "archive_buffer_seconds" {
  description = "Age at which an object of the archive is written, in seconds."
  type        = number
  default     = 300

  validation {
    condition     = var.archive_buffer_seconds >= 60 && var.archive_buffer_seconds <= 900
    error_message = "With dynamic partitioning Firehose buffers for 60 to 900 seconds."
  }
}

variable "archive_transition_days" {
  description = "Days after which objects of the archive move to Glacier Instant Retrieval."
  type        = number
  default     = 90

  validation {
    condition     = var.archive_transition_days >= 1
    error_message = "At least one day."
  }
}

variable "archive_expiration_days" {
  description = "Days after which objects of the archive are deleted; null: never."
  type        = number
  default     = null

  validation {
    condition     = var.archive_expiration_days == null ? true : var.archive_expiration_days > var.archive_transition_days
    error_message = "Objects are deleted only after they were moved: more than archive_transition_days."
  }
}

variable "events_enabled" {
  description = "Whether messages are put on an EventBridge bus as well."
  type        = bool
  default     = false
}

variable "event_bus_name" {
  description = "Name of the EventBridge bus, which is made here; null: <project>-<environment>-telemetry."
  type        = string
  default     = null

  validation {
    condition     = var.event_bus_name == null || can(regex("^[A-Za-z0-9_.-]{1,256}$", var.event_bus_name)) && var.event_bus_name != "default"
    error_message = "A bus of its own: letters, digits, dots, hyphens and underscores; not \"default\"."
  }
}

variable "event_filter" {
  description = "Pattern of the Kinesis records that become events, as JSON, for example {\"data\":{\"site\":[\"north\"]}}; null: all."
  type        = string
  default     = null

  validation {
    condition     = var.event_filter == null || can(jsondecode(var.event_filter))
    error_message = "The pattern is not JSON."
  }
}

variable "event_queue_arns" {
  description = "SQS queues (not made here) that get every event, by a short name. Each queue's own policy must let events.amazonaws.com send to it."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, arn in var.event_queue_arns : can(regex("^[a-z0-9-]{1,32}$", name)) && can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:.+$", arn))])
    error_message = "Short names (lower-case letters, digits, hyphens) with ARNs of SQS queues."
  }
}

variable "log_retention_days" {
  description = "Days for which the reports of failed rules are kept; one of CloudWatch's own periods."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ... days."
  }
}
