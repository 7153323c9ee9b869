# The archive's bucket: private, encrypted, versioned, and not to be deleted while it holds anything.

resource "aws_s3_bucket" "archive" {
  count = var.archive_enabled ? 1 : 0

  bucket        = var.archive_bucket_name
  force_destroy = false
}

resource "aws_s3_bucket_public_access_block" "archive" {
  count = var.archive_enabled ? 1 : 0

  bucket                  = aws_s3_bucket.archive[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "archive" {
  count = var.archive_enabled ? 1 : 0

  bucket = aws_s3_bucket.archive[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "archive" {
  count = var.archive_enabled ? 1 : 0

  bucket = aws_s3_bucket.archive[0].id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "archive" {
  count = var.archive_enabled ? 1 : 0

  bucket = aws_s3_bucket.archive[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "archive" {
  count = var.archive_enabled ? 1 : 0

  # Rules about old versions need versioning to be on.
  depends_on = [aws_s3_bucket_versioning.archive]

  bucket = aws_s3_bucket.archive[0].id

  rule {
    id     = "archive"
    status = "Enabled"

    filter {
      prefix = ""
    }

    transition {
      days          = var.archive_transition_days
      storage_class = "GLACIER_IR"
    }

    dynamic "expiration" {
      for_each = var.archive_expiration_days == null ? [] : [var.archive_expiration_days]

      content {
        days = expiration.value
      }
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "archive" {
  count = var.archive_enabled ? 1 : 0

  # Both settings change the bucket's policy: one after the other.
  depends_on = [aws_s3_bucket_public_access_block.archive]

  bucket = aws_s3_bucket.archive[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      # A refusal, so it is meant for everybody and everything in the bucket.
      Sid       = "OnlyEncryptedConnections"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.archive[0].arn, "${aws_s3_bucket.archive[0].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
